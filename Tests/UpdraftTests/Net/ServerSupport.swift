import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

nonisolated(nonsending) func echo(_ stream: IOStream) async throws {
    for try await chunk in stream.chunks { try await stream.write(chunk) }
}

nonisolated(nonsending) func expectEcho(_ stream: IOStream) async throws {
    try await stream.write("echo")
    #expect(try await stream.read(exactly: 4) == "echo".bytes)
}

nonisolated(nonsending) func connect(_ server: TCPServer) async throws -> IOStream {
    try await TCPClient.connect(host: "127.0.0.1", port: server.port)
}

func serverOptions(_ change: (inout TCPServer.Options) -> Void) -> TCPServer.Options {
    var options = TCPServer.Options()
    change(&options)
    return options
}

/// What `body` throws, as a stream error.
nonisolated(nonsending) func streamError<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> StreamError? {
    await failure(of: body) as? StreamError
}

/// An option of the stream's socket.
func socketOption(_ stream: IOStream, _ level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    precondition(getsockopt(stream.transport.descriptor!, level, name, &value, &length) == 0)
    return value
}

/// A folder for sockets, removed with the object.
final class SocketFolder {
    let path: String

    init() {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/updraft-XXXXXX".utf8CString)
        precondition(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) } != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for name in ["a", "b", "file", "link"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}

/// The mode of what stands at a path; nil if nothing does.
func fileMode(_ path: String) -> mode_t? {
    var found = stat()
    return lstat(path, &found) == 0 ? found.st_mode : nil
}

/// Leaves a socket's file behind, as a program does that was killed.
func leaveSocketFile(_ path: String) {
    let descriptor = boundUnixSocket(path)
    close(descriptor)
}

private func boundUnixSocket(_ path: String) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    precondition(result == 0)
    return descriptor
}
