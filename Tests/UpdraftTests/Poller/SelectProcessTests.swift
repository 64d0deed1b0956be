import Glibc
import Testing
import Updraft

/// `select` takes descriptors below 1,024, and the tests of one process together open more.
@Suite(.enabled(if: PollerKind.named == nil))
struct SelectProcessTests {
    @Test func theSuitesOfPollersHoldOnSelect() async throws {
        let run = try await runTests(matching: "UpdraftTests\\.(Poller|SelectPoller)", on: .select)
        #expect(run.status == 0, "\(run.output)")
        // A filter that matches nothing ends well, too.
        #expect(run.output.contains("SelectPollerTests passed"), "\(run.output)")
    }
}

private typealias Run = (status: Int32, output: String)

/// Runs tests of this program in a new process.
private func runTests(matching pattern: String, on poller: PollerKind) async throws -> Run {
    let pool = try BlockingPool(name: "tests", size: 1)
    defer { pool.close() }
    return try await withCheckedThrowingContinuation { continuation in
        do {
            try pool.submit {
                continuation.resume(with: Result { try runTestsBlocking(pattern, poller) })
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

private func runTestsBlocking(_ pattern: String, _ poller: PollerKind) throws -> Run {
    guard let output = tmpfile() else { throw SystemError(errno: errno, operation: "tmpfile") }
    defer { fclose(output) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for end in [STDOUT_FILENO, STDERR_FILENO] {
        posix_spawn_file_actions_adddup2(&actions, fileno(output), end)
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = [
        strdup(CommandLine.arguments[0]), strdup("--testing-library"), strdup("swift-testing"),
        strdup("--filter"), strdup(pattern), nil,
    ]
    var variables: [UnsafeMutablePointer<CChar>?] = [
        strdup("\(PollerKind.variable)=\(poller)"), strdup("PATH=\(variable("PATH"))"),
        strdup("LD_LIBRARY_PATH=\(variable("LD_LIBRARY_PATH"))"), nil,
    ]
    defer { for text in arguments + variables { free(text) } }
    var child: pid_t = 0
    let failure = posix_spawn(&child, "/proc/self/exe", &actions, nil, &arguments, &variables)
    if failure != 0 { throw SystemError(errno: failure, operation: "start the tests") }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return (status, contents(of: output))
}

private func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
}

private func contents(of file: UnsafeMutablePointer<FILE>) -> String {
    rewind(file)
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&block, 1, block.count, file), count > 0 {
        bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}
