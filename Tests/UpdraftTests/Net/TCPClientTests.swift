import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract row K10 and conformance list 3.4, over real sockets.
@Suite struct TCPClientTests {
    /// Conformance 3.2.5.
    @Test(arguments: ["127.0.0.1", "::1", "localhost"])
    func connectsToNumbersAndNames_K10(host: String) async throws {
        try await withLoop { loop in
            let server = TCPServer(host: host == "::1" ? "::1" : "127.0.0.1", port: 0)
            if host == "::1", await failure(of: { try server.bind() }) != nil {
                print("no IPv6 on this machine: \(host) not tested")
                return
            }
            try server.listen { stream in
                #expect(stream.peerAddress?.port != nil)
                try await stream.write("hi")
            }
            let stream = try await TCPClient.connect(host: host, port: server.port)
            #expect(try await stream.readToEnd() == "hi".bytes)
            #expect(stream.peerAddress?.port == server.port)
            _ = loop
        }
    }

    /// Conformance 3.2.32, too.
    @Test func aRefusedConnectionNamesItsCause_3_4_8() async throws {
        try await withLoop { _ in
            let server = TCPServer(port: 0)
            try server.bind()
            let port = server.port
            server.stop()
            let error =
                await failure {
                    try await TCPClient.connect(host: "127.0.0.1", port: port)
                } as? StreamError
            #expect(error?.code == .cannotConnect)
            #expect(error?.description.contains("127.0.0.1:\(port)") == true)
            #expect((error?.cause as? SystemError)?.errno == 111)
        }
    }

    /// Conformance 3.2.33.
    @Test func aNameThatDoesNotExistIsAClearError() async throws {
        try await withLoop { _ in
            let error =
                await failure {
                    try await TCPClient.connect(host: "no-such-host.invalid", port: 1)
                } as? StreamError
            #expect(error?.code == .cannotResolve)
            #expect(error?.description.contains("no-such-host.invalid") == true)
            for port in [-1, 65_536] {
                #expect(
                    await streamFailure {
                        try await TCPClient.connect(host: "127.0.0.1", port: port)
                    } == .cannotResolve)
            }
        }
    }

    @Test func connectObeysItsTimeoutAndCancellation() async throws {
        try await withLoop { loop in
            // A listener that never accepts, with its backlog full, answers no more.
            var options = TCPServer.Options()
            options.backlog = 0
            let server = TCPServer(port: 0, options: options)
            try server.bind()
            var streams: [IOStream] = []
            var error: (any Error)?
            while error == nil, streams.count < 50 {
                error = await failure {
                    streams.append(
                        try await TCPClient.connect(
                            host: "127.0.0.1", port: server.port, timeout: .milliseconds(100)))
                }
            }
            #expect(error is TimeoutError)
            let task = loop.async {
                try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            }
            try await loop.turns(3)
            task.cancel()
            #expect(await failure { try await task.value } is CancellationError)
        }
    }

    @Test(
        arguments: [
            ("127.0.0.1", AddressFamily.ipv4), ("127.0.0.1", .any), ("localhost", .ipv4),
            ("::1", .ipv6), ("::1", .any), ("localhost", .ipv6), ("localhost", .any),
        ])
    func connectsInEveryFamily_3_4_1_2_3_4_5_6_7(host: String, family: AddressFamily) async throws {
        try await withLoop { loop in
            let usesIPv6 = family == .ipv6 || host == "::1"
            let server = TCPServer(host: usesIPv6 ? "::1" : "127.0.0.1", port: 0)
            if usesIPv6, await failure(of: { try server.bind() }) != nil {
                print("no IPv6 on this machine: \(host) not tested")
                return
            }
            let names = BlockingResolver()
            let nameError = await failure { try await names.resolve(host, port: 1, family: family) }
            if host == "localhost", usesIPv6, nameError != nil {
                print("localhost has no IPv6 address on this machine: not tested")
                return
            }
            try server.listen { stream in try await stream.write("hi") }
            var options = TCPClient.Options()
            options.family = family
            let stream = try await TCPClient.connect(
                host: host, port: server.port, options: options)
            #expect(try await stream.readToEnd() == "hi".bytes)
            #expect(stream.peerAddress?.isIPv6 == usesIPv6)
            withExtendedLifetime(loop) {}
        }
    }

    @Test func theOwnEndsAddressCanBeChosen_3_4_9_10() async throws {
        try await withLoop { _ in
            let server = TCPServer(port: 0)
            var seen: [SocketAddress?] = []
            try server.listen { stream in
                seen.append(stream.peerAddress)
                try await stream.write("hi")
            }
            var options = TCPClient.Options()
            options.source = try SocketAddress(host: "127.0.0.7", port: 0)
            let stream = try await TCPClient.connect(
                host: "127.0.0.1", port: server.port, options: options)
            #expect(try await stream.readToEnd() == "hi".bytes)
            #expect(seen.first??.host == "127.0.0.7")
            for unusable in ["8.8.8.8", "::1"] {
                options.source = try SocketAddress(host: unusable, port: 0)
                let port = server.port
                let chosen = options
                let code = await streamFailure {
                    try await TCPClient.connect(host: "127.0.0.1", port: port, options: chosen)
                }
                #expect(code == .cannotConnect)
            }
        }
    }

    /// In a process of its own, which is nobody's.
    @Test(.enabled(if: portsArePrivileged, "any user may use any port here"))
    func aPrivilegedSourcePortFails_3_4_11() async {
        await #expect(processExitsWith: .success) {
            if geteuid() == 0 { precondition(setuid(65_534) == 0) }
            try IOLoop.run { _ in
                var options = TCPClient.Options()
                options.source = try SocketAddress(host: "127.0.0.1", port: 1)
                let error =
                    await failure {
                        try await TCPClient.connect(host: "127.0.0.1", port: 9, options: options)
                    } as? StreamError
                precondition(error?.code == .cannotConnect)
                precondition((error?.cause as? SystemError)?.errno == EACCES)
            }
        }
    }

    private static var portsArePrivileged: Bool {
        let path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
        guard let file = fopen(path, "r") else { return true }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 16)
        guard fgets(&text, Int32(text.count), file) != nil else { return true }
        return atoi(text) > 1
    }

    @Test func drainServesWhatTheKernelHasAlready() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in
                for try await chunk in stream.chunks { try await stream.write(chunk) }
            }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await client.write("first")
            #expect(try await client.read(exactly: 5) == "first".bytes)
            // Sent, but no turn of the loop has told the server of it.
            try client.enqueue("second".bytes)
            client.sendNow()
            #expect(await server.drain(.seconds(5)) == 0)
            #expect(try await client.readToEnd() == "second".bytes)
        }
    }

    @Test func aHostThatIsANameIsRefusedInWordsThatHelp() async throws {
        try await withLoop { _ in
            let error = await failure { try TCPServer(host: "localhost", port: 0).bind() }
            #expect((error as? StreamError)?.code == .cannotListen)
            #expect("\(error as Any)".contains("numeric address"))
        }
    }
}
