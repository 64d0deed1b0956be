// Unsafe: a context of OpenSSL may be used by any number of threads once nobody changes it any
// more. It is set up in `init`, before anybody else knows it, and never changed after.

internal import CUpdraftTLS

/// One set-up context of OpenSSL, with its certificates.
final class ContextHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    /// This side's certificates, in the order given.
    private(set) var certificates: [TLSCertificate] = []

    init(isServer: Bool) throws {
        var error = ctls_error()
        guard let context = ctls_context_new(isServer, &error) else {
            throw TLSError(.invalidConfiguration, "No TLS context can be made: \(error.reason).")
        }
        pointer = context
    }

    deinit {
        ctls_context_free(pointer)
    }

    // MARK: Set-up

    func setVersions(_ least: TLSVersion, _ most: TLSVersion) throws {
        guard least <= most else {
            throw TLSError(
                .invalidConfiguration, "The versions from \(least) to \(most) are none at all.")
        }
        try check("The TLS versions can't be set") {
            ctls_context_set_versions(pointer, Int32(least.rawValue), Int32(most.rawValue), &$0)
        }
    }

    func setCiphers(_ ciphers: TLSCiphers) throws {
        try check("The cipher suites '\(ciphers.tls12)' and '\(ciphers.tls13)' can't be set") {
            ctls_context_set_ciphers(pointer, ciphers.tls12, ciphers.tls13, &$0)
        }
        try check("The groups '\(ciphers.groups)' can't be set") {
            ctls_context_set_groups(pointer, ciphers.groups, &$0)
        }
    }

    func setProtocols(_ names: [String]) throws {
        guard !names.isEmpty else { return }
        var list: [UInt8] = []
        for name in names {
            guard (1...255).contains(name.utf8.count) else {
                throw TLSError(
                    .invalidConfiguration,
                    "The application protocol '\(name)' has \(name.utf8.count) bytes; "
                        + "a name has 1 to 255.")
            }
            list.append(UInt8(name.utf8.count))
            list += name.utf8
        }
        guard list.count <= 65_535 else {
            throw TLSError(.invalidConfiguration, "There are too many application protocols.")
        }
        try check("The application protocols can't be set") {
            ctls_context_set_protocols(pointer, list, list.count, &$0)
        }
    }

    func setTrust(_ trust: TLSTrust, _ verify: ctls_verify, hints: Bool = false) throws {
        switch trust {
        case .insecureNoVerification:
            return
        case .system:
            try check("The system's trusted certificates can't be read") {
                ctls_context_trust_system(pointer, &$0)
            }
        case .certificates(let source):
            try source.withSource { lent in
                var lent = lent
                var error = ctls_error()
                if ctls_context_trust(pointer, &lent, hints, &error) { return }
                throw ContextHandle.trouble(error, source, "the trusted certificates")
            }
        }
        ctls_context_set_verify(pointer, verify)
    }

    func setResumption(_ isOn: Bool) {
        ctls_context_set_resumption(pointer, isOn)
    }

    func add(_ identity: TLSIdentity) throws {
        var error = ctls_error()
        let loaded = identity.certificate.withSource { certificate in
            identity.privateKey.withSource { key in
                var (certificate, key) = (certificate, key)
                return withOptionalCString(identity.password) {
                    ctls_identity_new(&certificate, &key, $0, identity.acceptsExpired, &error)
                }
            }
        }
        guard let loaded else { throw ContextHandle.trouble(error, identity) }
        defer { ctls_identity_free(loaded) }
        try check("The certificate in \(identity.certificate) can't be used") {
            ctls_context_add_identity(pointer, loaded, &$0)
        }
        if let certificate = ctls_identity_certificate(loaded) {
            certificates.append(TLSCertificate(certificate))
        }
    }

    // MARK: Errors

    private func check(_ what: String, _ step: (inout ctls_error) -> Bool) throws {
        var error = ctls_error()
        if step(&error) { return }
        throw TLSError(.invalidConfiguration, "\(what): \(error.reason).")
    }

    private static func trouble(_ error: ctls_error, _ identity: TLSIdentity) -> TLSError {
        let key = identity.privateKey
        switch error.problem {
        case CTLS_KEY_UNREADABLE:
            return TLSError(
                .unreadableFile, "The private key's \(key) can't be opened: \(error.reason).")
        case CTLS_KEY_INVALID:
            return TLSError(.invalidKey, "There is no private key in \(key): \(error.reason).")
        case CTLS_KEY_MISMATCH:
            return TLSError(
                .keyMismatch,
                "The private key in \(key) does not belong to the certificate in "
                    + "\(identity.certificate).")
        case CTLS_PASSWORD_MISSING:
            return TLSError(
                .passwordNeeded, "The private key in \(key) is encrypted; give its password.")
        case CTLS_PASSWORD_WRONG:
            return TLSError(
                .wrongPassword, "The private key in \(key) has another password.")
        default:
            return trouble(error, identity.certificate, "the certificate")
        }
    }

    private static func trouble(
        _ error: ctls_error, _ source: PEMSource, _ what: String
    ) -> TLSError {
        switch error.problem {
        case CTLS_CERTIFICATE_UNREADABLE:
            return TLSError(
                .unreadableFile, "The \(source) of \(what) can't be opened: \(error.reason).")
        case CTLS_CERTIFICATE_EXPIRED, CTLS_CERTIFICATE_NOT_YET_VALID:
            return TLSError(.certificateExpired, "In \(source), the \(error.reason).")
        default:
            return TLSError(
                .invalidCertificate,
                "What should be \(what) in \(source) can't be read: \(error.reason).")
        }
    }
}

/// A C string for the call, or null.
func withOptionalCString<R>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) throws -> R
) rethrows -> R {
    guard let text else { return try body(nil) }
    return try text.withCString { try body($0) }
}
