import Synchronization
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Conformance list 3.5.
@Suite struct ResolverTests {
    @Test func everyResolverKnowsLocalhost_1() async throws {
        try await withLoop { loop in
            let system = try SystemResolver(loop)
            let override = OverrideResolver(over: system, ["here.example": "localhost"])
            let loopbacks: Set = ["127.0.0.1", "::1"]
            let names: [(any Resolver, String)] = [
                (system, "localhost"), (BlockingResolver(), "localhost"),
                (override, "here.example"),
            ]
            for (resolver, name) in names {
                let found = try await resolver.resolve(name, port: 80, family: .any)
                #expect(!found.isEmpty)
                #expect(found.allSatisfy { loopbacks.contains($0.host) && $0.port == 80 })
            }
        }
    }

    @Test func aBadNameIsAClearError_2() async throws {
        try await withLoop { loop in
            let resolvers: [any Resolver] = [try SystemResolver(loop), BlockingResolver()]
            for resolver in resolvers {
                for name in ["an invalid domain", "no-such-host.invalid", "", "a\0b"] {
                    let code = await streamFailure {
                        try await resolver.resolve(name, port: 80, family: .any)
                    }
                    #expect(code == .cannotResolve, "\(name)")
                }
            }
        }
    }

    @Test func theOverrideOfAFamilyWins_3() async throws {
        try await withLoop { _ in
            let resolver = OverrideResolver(
                over: BlockingResolver(),
                [
                    "google.example": "1.2.3.4", "ipv6/google.example": "2a02::1",
                    "google.example:443": "5.6.7.8:8443", "v6.example": "[::1]:81",
                ])
            func first(_ host: String, _ port: Int, _ family: AddressFamily) async throws -> String
            {
                let found = try await resolver.resolve(host, port: port, family: family)
                return found.map(\.description).joined(separator: " ")
            }
            let cases = [
                ("google.example", 80, AddressFamily.any, "1.2.3.4:80"),
                ("google.example", 80, AddressFamily.ipv4, "1.2.3.4:80"),
                ("google.example", 80, AddressFamily.ipv6, "[2a02::1]:80"),
                ("google.example", 443, AddressFamily.any, "5.6.7.8:8443"),
                ("v6.example", 80, AddressFamily.any, "[::1]:81"),
                ("127.0.0.1", 80, AddressFamily.any, "127.0.0.1:80"),
            ]
            for (host, port, family, expected) in cases {
                let found = try await resolver.resolve(host, port: port, family: family)
                #expect(found.map(\.description) == [expected])
            }
        }
    }

    @Test func aNumericAddressIsItsOwnAnswerAndMustBeOfTheFamily() async throws {
        try await withLoop { loop in
            let resolver = try SystemResolver(loop)
            let found = try await resolver.resolve("::1", port: 5, family: .ipv6)
            #expect(found.map(\.description) == ["[::1]:5"])
            let code = await streamFailure {
                try await resolver.resolve("127.0.0.1", port: 5, family: .ipv6)
            }
            #expect(code == .cannotResolve)
        }
    }

    @Test(arguments: ["127.0.0.1", "4.4.4.4", "::1", "2620:0:1cfe:face:b00c::3"])
    func numericAddressesAreValid_5(host: String) {
        #expect(SocketAddress.isIPAddress(host))
    }

    @Test(arguments: [
        "www.google.com", "localhost", "4.4.4.4<", " 127.0.0.1", "", " ", "\n", "\0",
        "127.0.0.1\0", String(repeating: "a", count: 100),
    ])
    func nothingElseIsValid_5(host: String) {
        #expect(!SocketAddress.isIPAddress(host))
    }

    @Test func equalQuestionsAreAskedOnceAndTheAnswerIsKeptAWhile() async throws {
        try await withLoop { loop in
            let asked = Asked()
            let resolver = try SystemResolver(loop, SystemResolver.Options()) { question in
                asked.note()
                return try question.answer()
            }
            let futures = (0..<10).map { _ in
                loop.async { try await resolver.resolve("localhost", port: 1, family: .any) }
            }
            for future in futures {
                let found = try await future.value
                #expect(!found.isEmpty)
            }
            #expect(asked.count == 1)
            _ = try await resolver.resolve("localhost", port: 1, family: .any)
            #expect(asked.count == 1)
            _ = try await resolver.resolve("localhost", port: 2, family: .any)
            #expect(asked.count == 2)
        }
    }

    @Test func anAnswerIsAskedForAgainAfterItsTime() async throws {
        try await withLoop { loop in
            let asked = Asked()
            var options = SystemResolver.Options()
            options.cacheTime = .zero
            let resolver = try SystemResolver(loop, options) { question in
                asked.note()
                return try question.answer()
            }
            for expected in 1...3 {
                _ = try await resolver.resolve("localhost", port: 1, family: .any)
                #expect(asked.count == expected)
            }
        }
    }

    @Test func theCacheIsBoundedAndTheOldestMakesRoom() async throws {
        try await withLoop { loop in
            let asked = Asked()
            var options = SystemResolver.Options()
            options.cacheMax = 2
            let resolver = try SystemResolver(loop, options) { question in
                asked.note()
                return try question.answer()
            }
            for port in [1, 2, 3, 3, 2] {
                _ = try await resolver.resolve("localhost", port: port, family: .any)
            }
            #expect(asked.count == 3)
            _ = try await resolver.resolve("localhost", port: 1, family: .any)
            #expect(asked.count == 4)
        }
    }

    @Test func aFailureIsNotKept() async throws {
        try await withLoop { loop in
            let asked = Asked()
            let resolver = try SystemResolver(loop, SystemResolver.Options()) { question in
                if asked.note() == 1 { throw StreamError(.cannotResolve, "Not now.") }
                return try question.answer()
            }
            let code = await streamFailure {
                try await resolver.resolve("localhost", port: 1, family: .any)
            }
            #expect(code == .cannotResolve)
            let found = try await resolver.resolve("localhost", port: 1, family: .any)
            #expect(!found.isEmpty)
        }
    }

    @Test func aResolverThatNeverAnswersTriggersTheTimeout_3_4_12() async throws {
        final class Silent: Resolver {
            nonisolated(nonsending) func resolve(
                _ host: String, port: Int, family: AddressFamily
            ) async throws -> [SocketAddress] {
                try await IOLoop.current.sleep(for: .seconds(86_400))
                return []
            }
        }
        try await withVirtualLoop { _ in
            let error = await failure {
                _ = try await TCPClient.connect(
                    host: "silent.example", port: 80, timeout: .milliseconds(10),
                    resolver: Silent())
            }
            #expect(error is TimeoutError)
        }
    }

    /// What a program's globals are made with runs before its loop, and on whatever thread.
    @Test func aNameIsResolvedWhileAGlobalIsMade_4() async {
        await #expect(processExitsWith: .success) {
            precondition(AtStart.addresses.allSatisfy { $0.port == 80 })
            precondition(!AtStart.addresses.isEmpty)
        }
    }

    private enum AtStart {
        static let addresses: [SocketAddress] = {
            let found = try? IOLoop.run { loop in
                try await SystemResolver.shared(on: loop)
                    .resolve("localhost", port: 80, family: .any)
            }
            return found ?? []
        }()
    }

    private final class Asked: Sendable {
        private let number = Mutex(0)
        var count: Int { number.withLock { $0 } }
        @discardableResult func note() -> Int {
            number.withLock {
                $0 += 1
                return $0
            }
        }
    }
}
