import Testing

@testable import Updraft

/// The variable by which a worker knows what it is: issue 3, part 9.
@Suite struct WorkerEnvironmentTests {
    @Test func whatWasWrittenIsRead() {
        let environment = WorkerEnvironment(
            taskID: 2, workers: 4, loops: 3, supervisor: 4711,
            listens: [.tcp(host: "127.0.0.1", port: 7000), .tcp(host: "::1", port: 0)])
        #expect(WorkerEnvironment(environment.text) == environment)
        #expect(environment.text.contains("listen=7000@127.0.0.1,0@::1"))
        #expect(environment.descriptors(of: 0) == [4, 5, 6])
        #expect(environment.descriptors(of: 1) == [7, 8, 9])
    }

    @Test func aPathMayHaveAnything() {
        let path = "/run/a b,c@d=e%20/\u{E4}\n~.sock"
        let environment = WorkerEnvironment(
            taskID: 0, workers: 1, loops: 1, supervisor: 1,
            listens: [.unix(path: path), .tcp(host: "::1", port: 0), .unix(path: "unix")])
        let list = "unix@/run/a%20b%2Cc@d=e%2520/%C3%A4%0A~.sock,0@::1,unix@unix"
        #expect(environment.text.hasSuffix(" listen=" + list))
        #expect(WorkerEnvironment(environment.text) == environment)
    }

    @Test func withoutListenersThereIsNoList() {
        let environment = WorkerEnvironment(
            taskID: 0, workers: 1, loops: 1, supervisor: 1, listens: [])
        #expect(environment.text == "task=0 workers=1 loops=1 supervisor=1")
        #expect(WorkerEnvironment(environment.text) == environment)
    }

    @Test(arguments: [
        "", "1", "task=0", "task=4 workers=4 loops=1 supervisor=1",
        "task=-1 workers=4 loops=1 supervisor=1", "task=0 workers=0 loops=1 supervisor=1",
        "task=0 workers=1 loops=1 supervisor=0", "task=0 workers=1 loops=9999999 supervisor=1",
        "task=0 task=1 workers=2 loops=1 supervisor=1",
        "task=0 workers=1 loops=1 supervisor=1 listen=7000",
        "task=0 workers=1 loops=1 supervisor=1 listen=70000@::1",
        "task=0 workers=1 loops=1 supervisor=1 listen=unix@",
        "task=0 workers=1 loops=1 supervisor=1 listen=unix@/a%2",
        "task=0 workers=1 loops=1 supervisor=1 listen=unix@/a%2G",
        "task=0 workers=1 loops=1 supervisor=1 listen=unix@/a%+1",
        "task=0 workers=1 loops=1 supervisor=99999999999999999999",
    ])
    func anythingElseIsRefused(text: String) {
        #expect(WorkerEnvironment(text) == nil)
    }
}
