/// Bounds on what a stream buffers and how long its closing may take.
public struct StreamOptions: Sendable {
    /// Bytes received and not read that a stream holds at the most; a single read can't ask for
    /// more. 100 MiB (contract row J1).
    public var readBufferMax = 104_857_600

    /// Whether a stream stays open and usable when a delimiter did not come within its limit. By
    /// default it is closed: a peer that does not keep to the limit can't be made sense of.
    public var staysOpenPastLimit = false

    /// Unsent bytes beyond which `write` waits; `writeBufferMax` if that is less. 256 KiB.
    public var highWaterMark = 262_144

    /// Unsent bytes down to which a waiting `write` waits; the high-water mark if that is less.
    /// 64 KiB.
    public var lowWaterMark = 65_536

    /// Unsent bytes, without those of files, beyond which nothing more is accepted: the call throws
    /// `.bufferFull`. 100 MiB.
    ///
    /// `enqueue` refuses what would exceed the limit. `write` and `writeAndFlush` refuse only where
    /// it is exceeded already, and wait with what they were given, however long that is: so that at
    /// the most this much and one more write are unsent, also where waits are given up.
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
    /// The marks as they count, one of which may have been set without the others.
    let highMark: Int
    let lowMark: Int

    init(_ value: StreamOptions) {
        self.value = value
        highMark = max(0, min(value.highWaterMark, value.writeBufferMax))
        lowMark = max(0, min(value.lowWaterMark, highMark))
    }
}
