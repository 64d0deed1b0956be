/// Bounds on what a stream buffers and how long its closing may take.
public struct StreamOptions: Sendable {
    /// Bytes received and not read that a stream holds at the most; a single read can't ask for
    /// more. 100 MiB (contract row J1).
    public var readBufferMax = 104_857_600

    /// Whether a stream stays open and usable when a delimiter did not come within its limit. By
    /// default it is closed: a peer that does not keep to the limit can't be made sense of.
    public var staysOpenPastLimit = false

    /// Unsent bytes from which on `write` waits. 256 KiB.
    public var highWaterMark = 262_144

    /// Unsent bytes down to which a waiting `write` waits. 64 KiB.
    public var lowWaterMark = 65_536

    /// Unsent bytes beyond which `enqueue` refuses. `write` waits instead: it exceeds the
    /// high-water mark by the one array that it was given, for each task that writes. 100 MiB.
    public var writeBufferMax = 104_857_600

    /// Whether a stream stays open when its peer ends its direction while nobody reads, although
    /// someone asked to be told of the closing; see `IOStream.onClose`.
    public var allowsHalfOpen = false

    /// How long a closing stream goes on sending what was written. After that it is aborted.
    public var closeTimeout = Duration.seconds(10)

    /// The defaults.
    public init() {}
}

/// The options of many streams, in one place in memory.
final class SharedStreamOptions {
    let value: StreamOptions

    init(_ value: StreamOptions) {
        self.value = value
    }
}
