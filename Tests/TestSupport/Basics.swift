import Glibc
package import Updraft

/// Random numbers that come again with the same seed.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        for place in stride(from: 0, to: count, by: 8) {
            var number = next()
            for index in place..<min(place + 8, count) {
                bytes[index] = UInt8(truncatingIfNeeded: number)
                number >>= 8
            }
        }
        return bytes
    }
}

/// An error of a test's own.
package struct Broken: Error, Equatable {
    package var number: Int

    package init(number: Int = 0) { self.number = number }
}

/// What `body` throws, or nil.
package nonisolated(nonsending) func failure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// The kind of stream error that `body` throws; nil if it throws none.
package nonisolated(nonsending) func streamFailure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> StreamError.Code? {
    (await failure(of: body) as? StreamError)?.code
}

extension IOLoop {
    /// Lets turns pass until the condition holds; the test's time limit ends a vain wait.
    package nonisolated(nonsending) func turns(until condition: () -> Bool) async throws {
        while !condition() { try await nextTurn() }
    }

    /// Lets so many turns pass.
    package nonisolated(nonsending) func turns(_ count: Int) async throws {
        for _ in 0..<count { try await nextTurn() }
    }
}

extension IOStream {
    /// Bytes that have come to the socket beneath the stream and that nobody has read.
    package var bytesInKernel: Int {
        var lowest: any Transport = transport
        while let upper = lowest as? any LayeredTransport { lowest = upper.base }
        var count: Int32 = 0
        guard let descriptor = lowest.descriptor else { return 0 }
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }
}

extension String {
    package var bytes: [UInt8] { Array(utf8) }
}

extension [UInt8] {
    package var text: String { String(decoding: self, as: UTF8.self) }
}

/// Open descriptors of this process.
package func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
}

/// Open sockets, pipes and files of this process. Those of the runtime's own, timers and the like,
/// come and go as they please.
package func openChannels() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
        var target = [UInt8](repeating: 0, count: 16)
        let length = target.withUnsafeMutableBytes { bytes in
            withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    readlinkat(dirfd(directory), $0, bytes.baseAddress!, bytes.count)
                }
            }
        }
        if length > 0, !target.starts(with: "anon_inode".utf8) { count += 1 }
    }
    return count
}

package func streamOptions(_ change: (inout StreamOptions) -> Void) -> StreamOptions {
    var options = StreamOptions()
    change(&options)
    return options
}

/// Whether the loops of this run are on a poller that tells of a failure on a stream which has
/// something to read and nobody to read it: `select` does not.
package let pollerTellsFailuresUnasked: Bool = {
    getenv("UPDRAFT_TEST_POLLER").map { String(cString: $0) } != "select"
}()

/// Two ends of a TCP connection over loopback; the first is the client's.
package nonisolated(nonsending) func connectedPair(
    on loop: IOLoop, _ options: StreamOptions = StreamOptions()
) async throws -> (IOStream, IOStream) {
    var serverOptions = TCPServer.Options()
    serverOptions.stream = options
    let server = TCPServer(port: 0, options: serverOptions)
    var accepted: IOStream?
    try server.listen { stream in
        accepted = stream
        try await stream.closed()
    }
    var clientOptions = TCPClient.Options()
    clientOptions.stream = options
    let near = try await TCPClient.connect(
        host: "127.0.0.1", port: server.port, options: clientOptions)
    while true {
        if let far = accepted {
            server.stop()
            return (near, far)
        }
        try await loop.nextTurn()
    }
}
