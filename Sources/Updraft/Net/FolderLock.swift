internal import CUpdraft

/// Keeps programs apart that begin to listen in one folder at the same time: a Unix socket that is
/// bound and does not listen yet looks like one that was left behind.
struct FolderLock {
    private let descriptor: Int32

    /// Waits a moment for those who have the lock.
    ///
    /// - Parameter path: Of the socket.
    /// - Throws: `StreamError` with `.cannotListen`.
    init(around path: String) throws {
        let folder = FolderLock.folder(of: path)
        var result = cu_lock_folder(folder)
        for _ in 0..<FolderLock.attempts where result == -cu_eagain {
            cu_sleep_milliseconds(1)
            result = cu_lock_folder(folder)
        }
        if result == -cu_eagain {
            throw StreamError(
                .cannotListen,
                "Can't listen on \(path): another program is about to listen there.")
        }
        // Folders that can't be read, and some file systems, have no lock. They do have sockets.
        descriptor = result
    }

    private static let attempts = 100

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Once.
    func release() {
        if descriptor >= 0 { cu_unlock_folder(descriptor) }
    }
}
