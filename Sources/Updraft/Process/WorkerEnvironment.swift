/// What a supervisor tells a worker of itself, in one variable of its environment. See
/// `docs/processes.md` for the form.
struct WorkerEnvironment: Equatable {
    struct Listen: Equatable {
        let host: String
        /// As it was asked for: 0 for any.
        let port: Int
    }

    static let variable = "UPDRAFT_WORKER"
    /// The descriptor that tells each of the other's end; the listeners follow, those of one
    /// address side by side, one for each loop.
    static let controlDescriptor: Int32 = 3
    static let firstListener: Int32 = 4

    let taskID: Int
    let workers: Int
    let loops: Int
    let supervisor: Int32
    let listens: [Listen]

    /// As in `task=2 workers=4 loops=1 supervisor=4711 listen=7000@127.0.0.1,0@::1`.
    var text: String {
        var fields = [
            "task=\(taskID)", "workers=\(workers)", "loops=\(loops)", "supervisor=\(supervisor)",
        ]
        if !listens.isEmpty {
            fields.append(
                "listen=" + listens.map { "\($0.port)@\($0.host)" }.joined(separator: ","))
        }
        return fields.joined(separator: " ")
    }

    /// The descriptors of an address, for the loops.
    func descriptors(of index: Int) -> [Int32] {
        (0..<loops).map { WorkerEnvironment.firstListener + Int32(index * loops + $0) }
    }
}

extension WorkerEnvironment {
    /// Reads what `text` wrote; nil for anything else.
    init?(_ text: String) {
        var values: [Substring: Substring] = [:]
        for field in text.split(separator: " ") {
            let parts = field.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, values.updateValue(parts[1], forKey: parts[0]) == nil else {
                return nil
            }
        }
        func number(_ name: Substring, _ range: ClosedRange<Int>) -> Int? {
            values[name].flatMap { Int($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        guard let workers = number("workers", 1...Prefork.processesMax),
            let taskID = number("task", 0...workers - 1),
            let loops = number("loops", 1...Prefork.processesMax),
            let supervisor = number("supervisor", 1...Int(Int32.max))
        else { return nil }
        var listens: [Listen] = []
        for item in values["listen", default: ""].split(separator: ",") {
            let parts = item.split(separator: "@", maxSplits: 1)
            guard parts.count == 2, let port = UInt16(parts[0]) else { return nil }
            listens.append(Listen(host: String(parts[1]), port: Int(port)))
        }
        self.init(
            taskID: taskID, workers: workers, loops: loops, supervisor: Int32(supervisor),
            listens: listens)
    }
}
