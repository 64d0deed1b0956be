internal import CUpdraftTLS

/// Where certificates or a key come from: PEM text, in a file or in memory.
public struct PEMSource: Sendable, CustomStringConvertible {
    private enum Storage {
        case file(String)
        case memory([UInt8])
    }

    private let storage: Storage

    /// A file, read when a configuration is made and again when it is reloaded.
    public static func file(_ path: String) -> PEMSource {
        PEMSource(storage: .file(path))
    }

    /// PEM text itself.
    public static func text(_ pem: String) -> PEMSource {
        PEMSource(storage: .memory(Array(pem.utf8)))
    }

    /// PEM text as bytes.
    public static func bytes(_ pem: [UInt8]) -> PEMSource {
        PEMSource(storage: .memory(pem))
    }

    /// The file's name, or that there is none; never the text, which may be a secret.
    public var description: String {
        switch storage {
        case .file(let path): "file '\(path)'"
        case .memory: "PEM text in memory"
        }
    }

    /// Lends the source to C.
    func withSource<R>(_ body: (ctls_source) throws -> R) rethrows -> R {
        switch storage {
        case .file(let path):
            try path.withCString { try body(ctls_source(path: $0, bytes: nil, count: 0)) }
        case .memory(let pem):
            try pem.withUnsafeBytes {
                try body(ctls_source(path: nil, bytes: $0.baseAddress, count: $0.count))
            }
        }
    }
}
