#if canImport(Glibc)
    import Glibc
#endif

/// An open descriptor with the path that its errors name, closed when it is let go of.
final class ScoreLogFile {
    let descriptor: Int32
    /// Where the file is now: a rename changes it.
    var path: String

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Opens with `O_CLOEXEC`. A file that the flags create is readable by everybody and
    /// writable by its owner, less the process's umask.
    static func open(_ path: String, _ flags: Int32) throws -> ScoreLogFile {
        guard let file = try openIfPresent(path, flags) else {
            throw LeaderboardError.file("open", path, error: ENOENT)
        }
        return file
    }

    /// The same, but nil if there is no such file.
    static func openIfPresent(_ path: String, _ flags: Int32) throws -> ScoreLogFile? {
        while true {
            let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o644)
            if descriptor >= 0 { return ScoreLogFile(descriptor: descriptor, path: path) }
            if errno == ENOENT { return nil }
            guard errno == EINTR else {
                throw LeaderboardError.file("open", path, error: errno)
            }
        }
    }

    /// Removes a file; false if there is none.
    @discardableResult
    static func remove(_ path: String) throws -> Bool {
        if unlink(path) == 0 { return true }
        guard errno == ENOENT else { throw LeaderboardError.file("remove", path, error: errno) }
        return false
    }

    /// Creates a folder and those above it that are missing.
    static func createFolder(_ path: String) throws {
        guard mkdir(path, 0o755) != 0 else { return }
        switch errno {
        case EEXIST:
            return
        case ENOENT:
            let trimmed = path.lastIndex { $0 != "/" }.map { path[...$0] } ?? ""
            guard let slash = trimmed.lastIndex(of: "/"), slash > trimmed.startIndex else {
                throw LeaderboardError.file("create", "folder '\(path)'", error: ENOENT)
            }
            try createFolder(String(trimmed[..<slash]))
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else { fallthrough }
        default:
            throw LeaderboardError.file("create", "folder \(path)", error: errno)
        }
    }

    func byteCount() throws -> Int64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw LeaderboardError.file("examine", path, error: errno)
        }
        return Int64(status.st_size)
    }

    /// Reads into a buffer from an offset; 0 is the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws -> Int {
        while true {
            let result = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if result >= 0 { return result }
            guard errno == EINTR else {
                throw LeaderboardError.file("read", path, error: errno)
            }
        }
    }

    /// Takes the file's lock, without waiting; false if another descriptor has it.
    func tryLock() throws -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK else {
            throw LeaderboardError.file("lock", path, error: errno)
        }
        return false
    }
}
