import CUpdraft
import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What a failed look-up says: conformance list 3.5, and contract row K10.
@Suite struct ResolverErrorTests {
    private static let answers: [(Int32, ResolverError.Code)] = [
        (EAI_NONAME, .noSuchName), (-5, .noAddress), (-9, .noAddress), (EAI_AGAIN, .tryAgain),
        (EAI_FAIL, .refused), (EAI_FAMILY, .other), (EAI_SERVICE, .other),
    ]

    @Test(arguments: answers)
    func theCauseTellsFailuresApart_2(number: Int32, code: ResolverError.Code) throws {
        let question = try NameLookUp("far.example", port: 80, family: .any)
        let failure = cu_resolve_failure(code: number, error: 0)
        let error = question.failure(ResolverError.cause(failure))
        let cause = try #require(error.cause as? ResolverError)
        #expect(error.code == .cannotResolve && cause.code == code && cause.number == number)
        #expect(cause.message == String(cString: gai_strerror(number)))
        #expect(error.description.contains("far.example"))
        #expect(error.description.contains(cause.message))
    }

    @Test func aNameThatDoesNotExistSaysSo_2() async throws {
        let resolver = BlockingResolver()
        let error = await streamError {
            try await resolver.resolve("no-such-host.invalid", port: 80, family: .any)
        }
        let code = (error?.cause as? ResolverError)?.code
        // Without a name server nobody knows.
        #expect(code == .noSuchName || code == .tryAgain)
    }

    @Test func whatIsNoNameHasNoCause_2() async throws {
        let resolver = BlockingResolver()
        for (host, port) in [("", 80), ("a\0b", 80), ("far.example", 65_536)] {
            let error = await streamError {
                try await resolver.resolve(host, port: port, family: .any)
            }
            #expect(error?.code == .cannotResolve && error?.cause == nil)
        }
    }

    @Test func aFailedSystemCallIsTheCause_K10() async {
        await #expect(processExitsWith: .success) {
            // The system's libraries are there before there are no descriptors.
            _ = try NameLookUp("localhost", port: 80, family: .any).answer()
            var limit = rlimit()
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            precondition(getrlimit(resource, &limit) == 0)
            let free = dup(0)
            close(free)
            limit.rlim_cur = rlim_t(free)
            precondition(setrlimit(resource, &limit) == 0)
            do {
                _ = try NameLookUp("far.example", port: 80, family: .any).answer()
                preconditionFailure("resolved")
            } catch let error as StreamError {
                precondition((error.cause as? SystemError)?.errno == EMFILE, "\(error)")
            }
        }
    }

    @Test func wantOfMemoryIsASystemError_K10() throws {
        let cause = ResolverError.cause(cu_resolve_failure(code: EAI_MEMORY, error: ENOMEM))
        #expect(cause as? SystemError == SystemError(errno: ENOMEM, operation: "getaddrinfo"))
    }
}
