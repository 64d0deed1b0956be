import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What is said when a server can't listen: contract rows K5 and K7.
@Suite struct ListenMessageTests {
    @Test(arguments: [
        // Of documentation: no machine has them.
        ("192.0.2.1", "192.0.2.1:7000"), ("2001:db8::1", "[2001:db8::1]:7000"),
    ])
    func theAddressIsNamedAsItIsWritten_K7(host: String, text: String) async throws {
        let error = await streamError { try ListeningSocket.bind(host: host, port: 7_000) }
        #expect(error?.code == .cannotListen)
        #expect(error?.message == "Can't listen on \(text).")
        #expect(error?.cause is SystemError)
    }

    @Test func aTakenPortIsSaidToBeTakenAndNotByWhom_K7() async throws {
        try await withLoop { _ in
            let server = TCPServer(port: 0)
            try server.bind()
            let port = server.port
            let error = await streamError { try TCPServer(port: port).bind() }
            #expect(error?.message == "Port \(port) on 127.0.0.1 is taken already.")
            let datagrams = try UDPSocket()
            let second = await streamError { try UDPSocket(port: datagrams.port) }
            #expect(
                second?.message == "UDP port \(datagrams.port) on 127.0.0.1 is taken already.")
            datagrams.close()
            server.stop()
        }
    }

    @Test(arguments: [
        ("127.0.0.1", AddressFamily.ipv6, "127.0.0.1 is no IPv6 address"),
        ("::1", .ipv4, "::1 is no IPv4 address"),
    ])
    func theFamilyThatWasAskedForIsNamed_K7(
        host: String, family: AddressFamily, text: String
    ) async throws {
        let error = await streamError {
            try ListeningSocket.bind(host: host, port: 0, family: family)
        }
        #expect(error?.message.contains(text) == true)
    }

    @Test(arguments: [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::", "::1")])
    func anAddressOfItsOwnThatOverlapsIsNamed_K7(first: String, second: String) async throws {
        try await withLoop { _ in
            let server = TCPServer(host: first, port: 0)
            do {
                try server.bind()
            } catch {
                return print("no \(first) on this machine: not tested")
            }
            let own = try #require(server.localAddress)
            let more = ListenAddress.tcp(host: second, port: server.port)
            let error = await streamError { try server.bind(to: more) }
            #expect(
                error?.message == "The server listens on \(own) already, which overlaps \(more).")
            server.stop()
        }
    }

    @Test("K2, K6: a server that serves, or has been stopped, says so to who calls listen")
    func listenOnAServerThatServesOrWasStoppedThrows_K2_K6() async throws {
        try await withLoop { loop in
            var troubles = 0
            loop.onUnhandledError = { _, _ in troubles += 1 }
            let server = TCPServer(port: 0)
            try server.listen { stream in try await echo(stream) }
            // Before the first one's task has begun, and after.
            for _ in 0..<2 {
                let again = await streamError { try server.listen { _ in } }
                #expect(again?.message == "The server is serving already.")
                try await expectEcho(try await connect(server))
            }
            let other = await streamError { try await server.serve { _ in } }
            #expect(other?.message == "The server is serving already.")
            server.stop()
            let late = await streamError { try server.listen { _ in } }
            #expect(late?.code == .cannotListen && late?.message == "The server was stopped.")
            let served = await streamError { try await server.serve { _ in } }
            #expect(served?.message == "The server was stopped.")
            let nowhere = TCPServer(listeningOn: [])
            #expect(await streamFailure { try nowhere.listen { _ in } } == .cannotListen)
            // Stopped between the call and its task.
            let brief = TCPServer(port: 0)
            brief.onStart = { troubles += 1 }
            try brief.listen { _ in }
            brief.stop()
            try await loop.waitUntilIdle()
            #expect(troubles == 0)
        }
    }

    @Test func messagesAreSentences() async throws {
        let long = String(repeating: "x", count: 200)
        let texts = [
            await streamError { try ListeningSocket.bind(to: .unix("")) },
            await streamError { try ListeningSocket.bind(to: .unix(long)) },
            await streamError { try ListeningSocket.bind(to: .unix("/no-such-folder/a")) },
            await streamError { try ListeningSocket.bind(to: .unix(abstract: "")) },
            await streamError { try ListeningSocket.bind(host: "localhost", port: 0) },
            await streamError { try ListeningSocket.bind(host: "::1", port: 70_000) },
            await streamError { try ListeningSocket(adopting: -1) },
        ].map { $0?.message }
        for text in texts {
            let first = try #require(text?.first)
            #expect(first.isUppercase && text?.last == ".", "\(text ?? "")")
        }
    }
}
