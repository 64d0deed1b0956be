package import CTestCertificates
import Glibc
package import UpdraftTLS

/// A certificate with its key, as PEM texts: made anew in each run, for tests only.
package struct TestIdentity: Sendable {
    package let certificate: String
    package let key: String

    /// - Parameters:
    ///   - names: As in `DNS:a.example,IP:127.0.0.1`.
    ///   - days: When it is valid, in days from now.
    ///   - issuer: Who signs it; itself if nil.
    package init(
        _ commonName: String, _ names: String? = nil, days: ClosedRange<Int> = -1...30,
        isAuthority: Bool = false, key: tc_key = TC_EC, password: String? = nil,
        issuer: TestIdentity? = nil
    ) {
        let pair = commonName.withCString { commonName in
            withOptionalCString(names) { names in
                withOptionalCString(password) { password in
                    var request = tc_request(
                        common_name: commonName, names: names, first_day: Int32(days.lowerBound),
                        last_day: Int32(days.upperBound), is_authority: isAuthority, key: key,
                        password: password)
                    guard let issuer else { return tc_make(&request, nil) }
                    var issuing = tc_pair(
                        certificate: strdup(issuer.certificate), key: strdup(issuer.key))
                    defer { tc_free(issuing) }
                    return tc_make(&request, &issuing)
                }
            }
        }
        defer { tc_free(pair) }
        certificate = String(cString: pair.certificate)
        self.key = String(cString: pair.key)
    }

    package var identity: TLSIdentity {
        TLSIdentity(certificate: .text(certificate), privateKey: .text(key))
    }

    package var trust: TLSTrust { .certificates(.text(certificate)) }

    /// Who signs the others.
    package static let authority = TestIdentity("test authority", isAuthority: true)
    /// A server's.
    package static let local = TestIdentity(
        "local", "DNS:localhost,DNS:server.example,IP:127.0.0.1,IP:::1", issuer: authority)
    /// A client's.
    package static let ann = TestIdentity("ann", "DNS:ann.example", issuer: authority)
    /// Somebody whom nobody knows.
    package static let stranger = TestIdentity("stranger", "DNS:localhost,DNS:server.example")
}

package func serverContext(
    _ identities: [TestIdentity] = [.local], _ change: (inout TLSServerOptions) -> Void = { _ in }
) throws -> TLSServerContext {
    var options = TLSServerOptions(identities: identities.map(\.identity))
    change(&options)
    return try TLSServerContext(options)
}

package func clientContext(
    _ change: (inout TLSClientOptions) -> Void = { _ in }
) throws -> TLSClientContext {
    var options = TLSClientOptions()
    options.trust = TestIdentity.authority.trust
    change(&options)
    return try TLSClientContext(options)
}

private func withOptionalCString<R>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> R
) -> R {
    guard let text else { return body(nil) }
    return text.withCString { body($0) }
}
