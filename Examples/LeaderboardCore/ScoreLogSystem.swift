#if canImport(Glibc)
    import Glibc
#endif

/// The system calls of the log that can fail in the middle of something.
///
/// They can be replaced, because a full disk or a failing one is hard to have in a test. Each
/// returns -1 and sets `errno` as the call of its name does.
struct ScoreLogSystem {
    /// `pwrite`: descriptor, bytes, offset; returns how many bytes were written.
    var write: (Int32, UnsafeRawBufferPointer, Int64) -> Int = { descriptor, bytes, offset in
        pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset))
    }
    /// `ftruncate`: descriptor, length.
    var truncate: (Int32, Int64) -> Int32 = { ftruncate($0, off_t($1)) }
    /// `fdatasync`.
    var synchronize: (Int32) -> Int32 = { fdatasync($0) }
    /// `fsync`, for folders.
    var synchronizeEntries: (Int32) -> Int32 = { fsync($0) }
    /// `rename`: from, to.
    var rename: (String, String) -> Int32 = { Glibc.rename($0, $1) }

    /// Writes all bytes at an offset, however many calls it takes.
    ///
    /// - Throws: ``LeaderboardError`` with code `fileFailed`; some bytes may have been written.
    func writeAll(
        _ bytes: UnsafeRawBufferPointer, to file: ScoreLogFile, at offset: Int64
    ) throws {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let result = write(file.descriptor, rest, offset + Int64(written))
            if result > 0 {
                written += result
            } else if result == 0 {
                // Not an error by POSIX, but it would be an endless loop.
                throw LeaderboardError.file("write", file.path, error: EIO)
            } else if errno != EINTR {
                throw LeaderboardError.file("write", file.path, error: errno)
            }
        }
    }

    func truncateFile(_ file: ScoreLogFile, to length: Int64) throws {
        while truncate(file.descriptor, length) != 0 {
            guard errno == EINTR else {
                throw LeaderboardError.file("truncate", file.path, error: errno)
            }
        }
    }

    func synchronizeFile(_ file: ScoreLogFile) throws {
        while synchronize(file.descriptor) != 0 {
            guard errno == EINTR else {
                throw LeaderboardError.file("sync", file.path, error: errno)
            }
        }
    }

    /// Makes a folder's entries durable: a new name lasts only then.
    func synchronizeFolder(_ path: String) throws {
        let folder = try ScoreLogFile.open(path, O_RDONLY | O_DIRECTORY)
        while synchronizeEntries(folder.descriptor) != 0 {
            guard errno == EINTR else {
                throw LeaderboardError.file("sync", path, error: errno)
            }
        }
    }
}

extension LeaderboardError {
    /// A failed system call on a file: "cannot write /data/scores.log: No space left on device".
    static func file(_ verb: String, _ path: String, error: Int32) -> LeaderboardError {
        let reason = strerror(error).map { String(cString: $0) } ?? "error \(error)"
        return LeaderboardError(.fileFailed, "cannot \(verb) \(path): \(reason)")
    }
}
