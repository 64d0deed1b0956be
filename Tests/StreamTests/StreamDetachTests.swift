import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// `detach` over every transport: contract row J11.
@Suite struct StreamDetachTests {
    @Test(arguments: TransportKind.allCases)
    func aPlainSocketComesOutAndEverythingElseStaysAsItIs_J11(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("line\nahead")
            try await far.flush()
            #expect(try await near.read(until: "\n") == "line\n".bytes)
            // Cut as the transport likes: what has come by now is ahead, the rest in the kernel.
            if kind == .tcp || kind == .unix {
                let detached = try near.detach()
                let ahead = detached.unreadBytes
                let again = try IOStream(socket: detached.release(), loop: loop)
                let rest = try await again.read(exactly: "ahead".utf8.count - ahead.count)
                #expect(ahead + rest == "ahead".bytes)
                again.close()
            } else {
                let code = await streamFailure { try near.detach().release() }
                #expect(code == .cannotDetach)
                #expect(!near.isClosed)
                #expect(try await near.read(exactly: 5) == "ahead".bytes)
                near.close()
            }
            #expect(try await far.readToEnd() == [])
        }
    }
}
