import Glibc
import Testing

/// A file of so many bytes that tell their place.
final class ScratchFile: Sendable {
    let path: String
    let bytes: [UInt8]

    init(_ size: Int) throws {
        var bytes = [UInt8](repeating: 7, count: size)
        for place in stride(from: 0, to: size, by: 509) {
            bytes[place] = UInt8(truncatingIfNeeded: place / 509)
        }
        self.bytes = bytes
        var template = Array("/tmp/updraft-file-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        var written = 0
        while written < size {
            let count = bytes[written...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            try #require(count > 0)
            written += count
        }
        close(descriptor)
    }

    deinit { unlink(path) }
}
