internal import CUpdraft

// Sending files: what the kernel can do without copying (sendfile(2)).
extension IOStream {
    /// Sends a file, or part of it, in its place between what is written before and after.
    ///
    /// Its place is taken when it is open, which takes some turns: what others write or send in the
    /// meantime leaves before it. An open file takes its place at once (`sendFile(descriptor:)`).
    /// Up to 64 files may wait in a stream, also where waits are given up.
    ///
    /// On sockets the bytes do not pass through this process; other transports read them a piece
    /// at a time. The file is opened off the loop. Its bytes are read by the kernel when the socket
    /// has room, a bounded share in each turn: from a disk that is slow to answer, that holds up
    /// the loop.
    ///
    /// ```swift
    /// try await stream.write(head)
    /// try await stream.sendFile("/srv/maps/7.bin")
    /// ```
    ///
    /// - Parameters:
    ///   - path: A plain file.
    ///   - range: Which of its bytes; all by default.
    /// - Returns: Bytes sent, when the kernel has all of them.
    /// - Throws: `SystemError` if the file can't be opened; `StreamError` with `.fileTooShort` if
    ///   it has fewer bytes, `.bufferFull` if too many files wait (nothing was sent then),
    ///   `.fileTooShort` if it loses some meanwhile, `.fileUnreadable` if it can't be read on (the
    ///   stream is aborted: the peer must not take it for complete), or `.closed`;
    ///   `CancellationError` or `TimeoutError` while it waits (the bytes stay accepted).
    @discardableResult
    public nonisolated(nonsending) func sendFile(
        _ path: String, bytes range: Range<Int>? = nil
    ) async throws -> Int {
        try checkWritable()
        try writeQueue.checkRoomForFile()
        let (descriptor, part) = try await loop.runInExecutor { try FileSource.open(path, range) }
        return try await send(FileSource(descriptor, part))
    }

    /// Sends an open file, or part of it; see the form with a path.
    ///
    /// - Parameter descriptor: Of a plain file. It stays the caller's, and its position as it is.
    /// - Throws: As the form with a path; `StreamError` with `.fileUnreadable`, and nothing was
    ///   sent, if the descriptor is open for writing only.
    @discardableResult
    public nonisolated(nonsending) func sendFile(
        descriptor: Int32, bytes range: Range<Int>? = nil
    ) async throws -> Int {
        try checkWritable()
        try writeQueue.checkRoomForFile()
        try FileSource.checkReadable(descriptor)
        let part = try FileSource.part(of: descriptor, range, name: "descriptor \(descriptor)")
        let own = try SystemError.check(cu_duplicate(descriptor), "duplicate a descriptor")
        return try await send(FileSource(OwnedDescriptor(own), part))
    }

    private nonisolated(nonsending) func send(_ file: FileSource) async throws -> Int {
        try checkWritable()
        try writeQueue.checkRoomForFile()
        let count = file.remaining
        writeQueue.append(file)
        written(count)
        try await flush()
        return count
    }
}
