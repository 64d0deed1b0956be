/// The bytes of a stream as they come, until the peer ends its direction.
///
/// ```swift
/// for try await chunk in stream.chunks { try await stream.write(chunk) }
/// ```
public struct Chunks: AsyncSequence {
    @usableFromInline let stream: IOStream

    /// Reads for one `for` loop.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let stream: IOStream

        /// The next bytes (at least one, at most 64 KiB), or nil at the end.
        ///
        /// - Throws: `StreamError`, `CancellationError` or `TimeoutError`.
        @inlinable
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> [UInt8]? {
            try await stream.nextChunk()
        }
    }

    /// Called by `for`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(stream: stream)
    }
}

/// The lines of a stream, until the peer ends its direction.
public struct Lines: AsyncSequence {
    @usableFromInline let stream: IOStream
    @usableFromInline let maxBytes: Int
    @usableFromInline let keepsEnds: Bool

    /// Reads for one `for` loop.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let stream: IOStream
        @usableFromInline let maxBytes: Int
        @usableFromInline let keepsEnds: Bool

        /// The next line, or nil at the end.
        ///
        /// - Throws: `StreamError`, `CancellationError` or `TimeoutError`.
        @inlinable
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> [UInt8]? {
            try await stream.nextLine(maxBytes: maxBytes, keepsEnd: keepsEnds)
        }
    }

    /// Called by `for`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(stream: stream, maxBytes: maxBytes, keepsEnds: keepsEnds)
    }
}

extension IOStream {
    /// The bytes as they come; see `Chunks`.
    public var chunks: Chunks { Chunks(stream: self) }

    /// The lines; see `lines(maxBytes:keepingEnds:)` for other limits.
    public var lines: Lines { lines() }

    /// The stream cut at newlines (`\n`). Bytes after the last newline are a line too.
    ///
    /// - Parameters:
    ///   - maxBytes: A line's length at the most, with its newline; a longer one closes the stream
    ///     with `.unsatisfiableRead`.
    ///   - keepingEnds: Whether lines come with their `\n`, or without `\n` and `\r\n`.
    public func lines(maxBytes: Int = 65_536, keepingEnds: Bool = false) -> Lines {
        Lines(stream: self, maxBytes: maxBytes, keepsEnds: keepingEnds)
    }

    @usableFromInline
    nonisolated(nonsending) func nextLine(
        maxBytes: Int, keepsEnd: Bool
    ) async throws -> [UInt8]? {
        do {
            var line = try await read(until: IOStream.newline, maxBytes: maxBytes)
            if !keepsEnd {
                line.removeLast()
                if line.last == 0x0D { line.removeLast() }
            }
            return line
        } catch let error as StreamError where error.code == .endOfStream {
            let rest = readBuffer.take(readBuffer.count)
            return rest.isEmpty ? nil : rest
        }
    }

    private static let newline: [UInt8] = [0x0A]
}
