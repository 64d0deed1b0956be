// Unsafe: reads a file to the loop's scratch memory, which is used within one call only.

internal import CUpdraft

/// Closes its descriptor when nobody has it any more: also when an opened file finds that its
/// opener has stopped waiting.
final class OwnedDescriptor: Sendable {
    let number: Int32

    init(_ number: Int32) {
        self.number = number
    }

    deinit {
        _ = cu_close(number)
    }
}

/// Part of a file that waits in a stream's queue to be sent.
final class FileSource {
    /// Bytes offered to one system call at the most.
    private static let bytesPerCall = 262_144

    private let owned: OwnedDescriptor
    private var descriptor: Int32 { owned.number }
    private var offset: Int64
    private(set) var remaining: Int
    private var isReadHere = false

    init(_ descriptor: OwnedDescriptor, _ part: Range<Int>) {
        owned = descriptor
        offset = Int64(part.lowerBound)
        remaining = part.count
    }

    /// Opens a plain file. Blocks.
    ///
    /// - Parameter range: Bytes of the file; nil for all of it.
    /// - Throws: `SystemError`; `StreamError` with `.fileTooShort`.
    static func open(_ path: String, _ range: Range<Int>?) throws -> (OwnedDescriptor, Range<Int>) {
        let number = try SystemError.check(cu_open_file(path), "open '\(path)'")
        let descriptor = OwnedDescriptor(number)
        return (descriptor, try part(of: number, range, name: "'\(path)'"))
    }

    /// Which bytes of a file a range means.
    static func part(of descriptor: Int32, _ range: Range<Int>?, name: String) throws -> Range<Int>
    {
        let size = cu_file_size(descriptor)
        if size < 0 {
            throw SystemError(errno: Int32(clamping: size), operation: "size of \(name)")
        }
        let whole = 0..<Int(size)
        guard let range else { return whole }
        guard range.lowerBound >= 0, range.upperBound <= whole.upperBound else {
            throw StreamError(
                .fileTooShort, "\(name) has \(size) bytes; bytes \(range) were to be sent.")
        }
        return range
    }

    /// - Throws: `StreamError` with `.fileUnreadable` if the descriptor is not for reading.
    static func checkReadable(_ descriptor: Int32) throws {
        if cu_is_readable(descriptor) { return }
        throw StreamError(.fileUnreadable, "Descriptor \(descriptor) is not open for reading.")
    }

    /// Sends once. How many bytes went, and whether there may be room for more.
    func send(
        to transport: any Transport, atMost limit: Int, scratch: UnsafeMutableRawBufferPointer
    ) throws -> (sent: Int, isRoomLeft: Bool) {
        let asked = min(remaining, FileSource.bytesPerCall, limit)
        if !isReadHere {
            if let sent = try sendUncopied(asked, to: transport, scratch) {
                advance(sent)
                // A signal cuts a call short, and so does the end of a file: what it is, the next
                // call tells. To take it for a full socket would be to wait for an event of room
                // that is there already.
                return (sent, sent > 0)
            }
            isReadHere = true
        }
        let memory = UnsafeMutableRawBufferPointer(rebasing: scratch[..<min(asked, scratch.count)])
        let count = try read(into: memory)
        if count == 0 { throw tooShort }
        let sent = try transport.write(UnsafeRawBufferPointer(rebasing: memory[..<count]))
        advance(sent)
        return (sent, sent == count)
    }

    private func advance(_ bytes: Int) {
        offset += Int64(bytes)
        remaining -= bytes
    }

    private func sendUncopied(
        _ count: Int, to transport: any Transport, _ scratch: UnsafeMutableRawBufferPointer
    ) throws -> Int? {
        do {
            return try transport.sendFile(descriptor, offset: offset, count: count)
        } catch let error as SystemError {
            // The file's failure or the connection's? The same number may mean either; the file can
            // be asked.
            _ = try read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<1]))
            throw error
        }
    }

    private func read(into memory: UnsafeMutableRawBufferPointer) throws -> Int {
        let result = cu_pread(descriptor, memory.baseAddress, memory.count, offset)
        if result >= 0 { return result }
        throw StreamError(
            .fileUnreadable, "A file could not be read any more: \(remaining) bytes were not sent.",
            cause: SystemError(errno: Int32(clamping: result), operation: "read"))
    }

    private var tooShort: StreamError {
        StreamError(
            .fileTooShort,
            "A file became shorter while it was sent: \(remaining) bytes are missing.")
    }
}
