internal import MessagePack

/// Bounds on what one RPC connection may use.
///
/// Every queue has one. Breaking a bound of the wire (`messageBytesMax`, `nestingMax`) closes that
/// connection; the others hold the peer back or refuse a call.
public struct RPCOptions: Sendable {
    /// The longest message that is accepted or sent, in bytes. 16 MiB.
    public var messageBytesMax = MessagePackLimits.bytesMax

    /// The deepest nesting of a message that is accepted, the message itself included. 64.
    public var nestingMax = MessagePackLimits.depthMax

    /// How long a message may take from its first bytes to its last; then the peer is told so and
    /// the connection closed. Time in which nothing is read from the peer does not count. 60 s.
    public var messageTimeout = Duration.seconds(60)

    /// How long a call waits for its answer, where the call does not say otherwise. 30 s.
    public var callTimeout = Duration.seconds(30)

    /// Our calls to one peer that may wait for their answers at a time. 65,536.
    public var callsInFlightMax = 65_536

    /// Requests of one peer to asynchronous methods that run at a time; when so many do, nothing
    /// is read from that peer until one has ended. 1,024.
    public var requestsInProgressMax = 1_024

    /// Unsent bytes to one peer from which on nothing is read from it. 1 MiB.
    public var unsentHighMark = 1_048_576

    /// Unsent bytes down to which the peer has to read before it is read from again. 256 KiB.
    public var unsentLowMark = 262_144

    /// Unsent bytes beyond which a peer that does not read is cut off when one more message is to
    /// be sent to it. 16 MiB.
    public var unsentBytesMax = 16_777_216

    /// How long a peer may take nothing of what is unsent above the high mark, before it is cut
    /// off. 30 s.
    public var stallTimeout = Duration.seconds(30)

    /// The defaults.
    public init() {}
}
