import Glibc
import Updraft

/// A plain file of so many zeros, which takes no room on the disk.
final class SparseFile: Sendable {
    let path: String
    let descriptor: Int32

    init(_ size: Int) throws {
        var template = Array("/tmp/updraft-sparse-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard descriptor >= 0, ftruncate(descriptor, size) == 0 else {
            throw SystemError(errno: errno, operation: "make a file")
        }
    }

    deinit {
        close(descriptor)
        unlink(path)
    }
}
