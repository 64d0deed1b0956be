// The process's standard input and output: contract row J20.
extension IOStream {
    /// Standard input as a stream that is only read.
    ///
    /// ```swift
    /// for try await line in try IOStream.standardInput(on: loop).lines { … }
    /// ```
    ///
    /// The stream borrows the descriptor until it is closed, by this side or by the end of the
    /// input, and never changes how it behaves for others: a pipe or a terminal is opened anew, so
    /// that the mark that makes reads not block is the stream's own. Where that is refused (a
    /// terminal of another user) or would be another one (the outer side of a pseudo-terminal, a
    /// device), each read asks first; another process that takes the bytes in between makes the
    /// loop wait for the next ones. What the stream has read ahead is lost to whoever reads
    /// descriptor 0 after it.
    ///
    /// A plain file is read on the loop's thread, at most 64 KiB at a time and the stream's share
    /// in each turn.
    ///
    /// - Throws: `StreamError` with `.alreadyTaken` while another stream has it, on whatever loop;
    ///   `SystemError` if there is no standard input.
    public static func standardInput(
        on loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws -> IOStream {
        try standard(.input, loop, options)
    }

    /// Standard output as a stream that is only written.
    ///
    /// It borrows the descriptor, as `standardInput` does; what is printed meanwhile goes between.
    /// When nobody reads it any more, the stream is closed with EPIPE as its cause (a socket's own
    /// error, if it has one), also if nothing is being written. A file takes 64 KiB in each turn.
    ///
    /// A terminal that can't be opened anew takes 256 bytes at a time, as many as it has room for
    /// when it says that it has any. Where it turns bytes into more of them (a line's end into two,
    /// a tab into spaces) that may be too many when it is nearly full: the loop waits then, until
    /// it has room.
    ///
    /// `close` gives descriptor 1 back as it was; what reads from it sees no end as long as the
    /// process has it. `endWriting` ends it: descriptor 1 stands for `/dev/null` from then on, for
    /// `print` too.
    ///
    /// - Throws: As `standardInput`.
    public static func standardOutput(
        on loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws -> IOStream {
        try standard(.output, loop, options)
    }

    /// Standard error as a stream that is only written; see `standardOutput`.
    public static func standardError(
        on loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws -> IOStream {
        try standard(.error, loop, options)
    }

    private static func standard(
        _ standard: StandardStream, _ loop: IOLoop, _ options: StreamOptions
    ) throws -> IOStream {
        loop.checkThread("IOStream.standardInput")
        let transport = try StandardTransport(standard, loop: loop)
        let stream: IOStream
        do {
            stream = try IOStream(transport, loop: loop, options: options)
        } catch {
            transport.close()
            throw error
        }
        // Read until nothing is there, whatever came: a terminal gives one line at a time, a file
        // tells nothing, and a pipe opened after its writers had left tells of no end.
        stream.readiness.insert([.read, .readHangup])
        transport.onEnd = { [weak stream] in stream?.finish($0) }
        return stream
    }
}
