/// Whom a server believes what they say about their clients' addresses: load balancers and proxies
/// that speak the PROXY protocol, version 1 or 2.
///
/// ```swift
/// var options = TCPServer.Options()
/// options.proxyProtocol = ProxyProtocol(peers: [try AddressRange("10.0.0.0/8")])
/// ```
///
/// A connection from one of the `peers` must begin with a header; it is closed if none comes in
/// time, or a wrong one. Afterwards the stream's `peerAddress` is the client's and `proxyAddress`
/// the proxy's. Connections from elsewhere are served as they are: what looks like a header there
/// is data like any other, because anybody could write one.
///
/// The format is that of `doc/proxy-protocol.txt` in HAProxy's sources, whose sections the comments
/// below name.
public struct ProxyProtocol: Sendable {
    /// Where the proxies connect from. Unix sockets are `.unix`.
    public var peers: [AddressRange]

    /// How long the header may take, from the connection on. The format's document asks for at
    /// least 3 seconds, so that a lost packet can be sent again.
    public var headerTimeout = Duration.seconds(5)

    /// Bytes of the longest header that is taken, additional values included. Version 1 has its own
    /// limit of 107.
    public var headerBytesMax = 4_096

    /// With a header time-out of 5 seconds and at most 4 KiB.
    public init(peers: [AddressRange]) {
        self.peers = peers
    }

    /// Whether a connection from this address has to begin with a header.
    public func trusts(_ address: SocketAddress) -> Bool {
        peers.contains { $0.contains(address) }
    }
}

extension ProxyProtocol {
    /// What a proxy said about a connection.
    public struct Header: Hashable, Sendable {
        /// How it was written.
        public enum Version: Int, Sendable {
            /// Version 1, a line of text.
            case text = 1
            /// Version 2, binary.
            case binary = 2
        }

        /// How the header was written.
        public let version: Version

        /// The client. Nil if the connection is the proxy's own, as a health check is (LOCAL), or
        /// if the proxy doesn't know (UNKNOWN, UNSPEC), or tells of something else than a stream.
        public let source: SocketAddress?

        /// Where the client connected to; nil as `source` is.
        public let destination: SocketAddress?

        /// What else a header of version 2 has, in its order, without padding.
        public let values: [Value]

        /// The bytes of the first value of a type; nil if there is none.
        public func value(_ type: UInt8) -> [UInt8]? {
            values.first { $0.type == type }?.bytes
        }
    }

    /// An additional value of a header of version 2 (a TLV).
    public struct Value: Hashable, Sendable {
        /// What it is: one of the types below, or one that the proxy's manual names.
        public let type: UInt8
        /// The bytes, as they came.
        public let bytes: [UInt8]

        /// The application protocol that the client asked for, as in TLS.
        public static let alpn: UInt8 = 0x01
        /// The host name that the client asked for, UTF-8.
        public static let authority: UInt8 = 0x02
        /// The checksum of the header. A header with a wrong one is refused.
        public static let crc32c: UInt8 = 0x03
        /// Padding, which is left out.
        public static let padding: UInt8 = 0x04
        /// A name of the connection, opaque bytes.
        public static let uniqueID: UInt8 = 0x05
        /// The client's TLS, with values of its own inside.
        public static let tls: UInt8 = 0x20
        /// The name of the network namespace.
        public static let namespace: UInt8 = 0x30
    }

    /// How far a header has come.
    enum Progress: Equatable {
        /// So many further bytes, at least one, are certainly part of the header.
        case incomplete(Int)
        /// The header and its length in bytes.
        case complete(Header, length: Int)
    }

    /// Looks at the first bytes of a connection.
    ///
    /// - Parameters:
    ///   - bytes: All that came so far; what stands behind the header is not looked at.
    ///   - bytesMax: The length of the longest header that is taken.
    /// - Throws: `StreamError` with `.invalidProxyHeader`, as soon as this can't be one.
    static func parse(_ bytes: [UInt8], bytesMax: Int) throws(StreamError) -> Progress {
        // Section 2.1: the shortest header of all is a line, which is one byte shorter than the
        // fixed part of version 2.
        guard let first = bytes.first else { return .incomplete(textBytesMin) }
        return first == signature[0]
            ? try parseBinary(bytes, bytesMax: bytesMax) : try parseText(bytes)
    }

    static var strangeBeginning: String { "it begins as neither version does" }

    static func invalid(_ reason: String) -> StreamError {
        StreamError(.invalidProxyHeader, "The connection has no valid PROXY header: \(reason).")
    }
}
