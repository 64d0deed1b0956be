import Glibc

/// What a connection that floods does to another one of the same echo server: the round trip of one
/// byte, without and with a flood beside it.
///
/// Server and load each need a processor, or it is the system's shares that are measured and not
/// the loop's: `Benchmarks/compare fairness` sees to it.
struct FairnessBench {
    let port: Int
    let count: Int

    func run() {
        putFirst()
        let probe = connectSocket(port)
        defer { close(probe) }
        measure("quiet", probe)
        let flood = connectSocket(port)
        defer { close(flood) }
        let writer = spawnThread { putLast(); pour(into: flood) }
        let reader = spawnThread { putLast(); drain(flood) }
        measure("flooded", probe)
        shutdown(flood, Int32(SHUT_RDWR))
        pthread_join(writer, nil)
        pthread_join(reader, nil)
    }

    /// One byte there and back, a millisecond apart, `count` times.
    private func measure(_ what: String, _ probe: Int32) {
        var times: [Double] = []
        times.reserveCapacity(count)
        for _ in 0..<count {
            usleep(1_000)
            let start = Times.now().wall
            var byte: UInt8 = 1
            precondition(send(probe, &byte, 1, 0) == 1 && recv(probe, &byte, 1, 0) == 1)
            times.append(Times.now().wall - start)
        }
        times.sort()
        func microseconds(_ share: Double) -> Int {
            Int(times[min(times.count - 1, Int(Double(times.count) * share))] / 1_000)
        }
        print(
            "updraft echo-of-a-byte-\(what) us: median \(microseconds(0.5)),",
            "99th percentile \(microseconds(0.99)), most \(microseconds(1))")
    }
}

private func pour(into socket: Int32) {
    let bytes = [UInt8](repeating: 2, count: 65_536)
    while send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) > 0 {}
}

private func drain(_ socket: Int32) {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while recv(socket, &bytes, bytes.count, 0) > 0 {}
}
