internal import CUpdraft

/// A stream over pipes: an `IOStream` like all others, made with `readingPipe` and `writingPipe`.
public typealias PipeStream = IOStream

// Contract row J20.
extension IOStream {
    /// Makes a stream that reads from a pipe: the read end of one, a FIFO, a terminal.
    ///
    /// The stream takes the descriptor over, and frees it at the pipe's end, when it closes itself
    /// (what was read before stays readable). It can't be written.
    ///
    /// - Parameter descriptor: Made non-blocking, for everyone who shares its open file: a
    ///   terminal's other users, for one.
    /// - Throws: `SystemError` if the descriptor can't be watched (a plain file, which is always
    ///   ready); it stays the caller's then.
    public convenience init(
        readingPipe descriptor: Int32, loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws {
        try self.init(reading: descriptor, writing: nil, loop, options)
    }

    /// Makes a stream that writes to a pipe. It takes the descriptor over, and can't be read.
    ///
    /// When nobody reads the pipe any more, the stream is closed with EPIPE as its cause, also if
    /// nothing is being written. `endWriting` closes it.
    ///
    /// - Parameter descriptor: Made non-blocking; see `init(readingPipe:)`.
    /// - Throws: `SystemError` if the descriptor can't be watched; it stays the caller's then.
    public convenience init(
        writingPipe descriptor: Int32, loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws {
        try self.init(reading: nil, writing: descriptor, loop, options)
    }

    /// Makes one two-way stream out of two pipes, such as this process's own standard input and
    /// output. It takes both descriptors over.
    ///
    /// - Parameters:
    ///   - reading: Made non-blocking; see `init(readingPipe:)`.
    ///   - writing: Another one than `reading`; made non-blocking.
    /// - Throws: `SystemError` if one can't be watched; both stay the caller's then.
    public convenience init(
        readingPipe reading: Int32, writingPipe writing: Int32, loop: IOLoop,
        options: StreamOptions = StreamOptions()
    ) throws {
        try self.init(reading: reading, writing: writing, loop, options)
    }

    private convenience init(
        reading: Int32?, writing: Int32?, _ loop: IOLoop, _ options: StreamOptions
    ) throws {
        loop.checkThread("IOStream")
        let transport = try PipeTransport(reading: reading, writing: writing, loop: loop)
        try self.init(transport, loop: loop, options: options)
        // No event will come: an attempt to read has to find that out by itself.
        if reading == nil { readiness.insert(.read) }
        transport.onEnd = { [weak self, weak transport] reason in
            // The end of what runs over it, such as TLS, is not that of the pipe.
            guard let self, self.transport === transport else { return }
            finish(reason)
        }
    }

    /// Makes a pipe on a loop: what is written to the one stream is read from the other.
    ///
    /// - Throws: `SystemError` if no descriptors are left.
    public static func pipe(
        on loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws -> (reader: IOStream, writer: IOStream) {
        loop.checkThread("IOStream.pipe")
        var ends: [Int32] = [-1, -1]
        try SystemError.check(cu_pipe(&ends), "pipe")
        var reader: IOStream?
        do {
            let made = try IOStream(readingPipe: ends[0], loop: loop, options: options)
            reader = made
            return (made, try IOStream(writingPipe: ends[1], loop: loop, options: options))
        } catch {
            if let reader { reader.abort() } else { _ = cu_close(ends[0]) }
            _ = cu_close(ends[1])
            throw error
        }
    }
}
