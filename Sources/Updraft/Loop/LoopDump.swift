extension IOLoop {
    /// What waits for what, as text for people: the answer to "what is stuck?".
    ///
    /// Descriptors with what watches them, streams with their peers, unsent bytes and how many
    /// callbacks wait for those, the next timeouts, and the tree of tasks with their names
    /// (`loop.spawn(name:)`) and what each waits for. For logs and debuggers; the form may change.
    /// On the loop's thread.
    ///
    /// ```swift
    /// try loop.addSignalHandler(.sigusr1) { StandardOutput.complain(loop.dump()) }
    /// ```
    ///
    /// - Parameter linesMax: Lines of each section; the rest is counted.
    public func dump(linesMax: Int = 1_000) -> String {
        checkThread("IOLoop.dump")
        var dump = LoopDump(loop: self, linesMax: max(linesMax, 1))
        return dump.text()
    }
}

extension IOLoop {
    /// A task and what it, or what it runs inside, waits for: one line, as in `dump`.
    func describe(_ scope: TaskScope) -> String {
        var dump = LoopDump(loop: self, linesMax: 1)
        return dump.line(about: scope)
    }
}

/// Collects the lines of one dump.
private struct LoopDump {
    let loop: IOLoop
    let linesMax: Int
    /// Where the waiters of sinks stand.
    private var places: [ObjectIdentifier: String] = [:]
    private var lines: [String] = []
    private var sectionLines = 0

    private static let deadlinesMax = 5

    init(loop: IOLoop, linesMax: Int) {
        self.loop = loop
        self.linesMax = linesMax
    }

    mutating func text() -> String {
        loop.finishRemovals()
        lines.append(
            "loop '\(loop.name)' (\(loop.poller.name)), turn \(loop.turnNumber), "
                + "up \(seconds(loop.uptime.wholeNanoseconds))")
        sinks()
        timeouts()
        tasks()
        return lines.joined(separator: "\n")
    }

    private mutating func section(_ title: String) {
        endSection()
        lines.append(title)
    }

    private mutating func endSection() {
        if sectionLines > linesMax { lines.append("  … and \(sectionLines - linesMax) more") }
        sectionLines = 0
    }

    private mutating func add(_ line: String) {
        sectionLines += 1
        if sectionLines <= linesMax { lines.append("  " + line) }
    }

    private mutating func sinks() {
        let entries = loop.table.entries
        section("descriptors: \(entries.count)")
        for entry in entries {
            add(entry.sink.report.text, of: entry.sink, at: "descriptor \(entry.descriptor)")
        }
        guard !loop.keptSinks.isEmpty else { return }
        section("streams without a descriptor: \(loop.keptSinks.count)")
        for (number, sink) in loop.keptSinks.values.enumerated() {
            add(sink.report.text, of: sink, at: "#\(number)")
        }
    }

    private mutating func add(_ text: String, of sink: any ReadinessSink, at place: String) {
        add("\(place): \(text)")
        for waiter in sink.report.waiters { places[ObjectIdentifier(waiter)] = place }
    }

    private mutating func timeouts() {
        section("timeouts: \(loop.timers.count)")
        let now = loop.now.nanoseconds
        for deadline in loop.timers.nextDeadlines(min(LoopDump.deadlinesMax, linesMax)) {
            add("in \(seconds(deadline - now))")
        }
    }

    private mutating func tasks() {
        section("tasks: \(loop.taskCount)")
        // A stack and no recursion: the tree is as deep as the program makes it.
        let top = loop.shutdown.hooks.scope.children + loop.rootScope.children
        var open = top.map { (scope: $0, depth: 0) }
        while let (scope, depth) = open.popLast() {
            add(String(repeating: "  ", count: depth) + describe(scope))
            open += scope.children.map { ($0, depth + 1) }
        }
        endSection()
        let guests = loop.guests.count
        if guests > 0 { lines.append("  waits that no task of the loop's own is in: \(guests)") }
    }

    private func describe(_ scope: TaskScope) -> String {
        let subject = scope.subject.map { ($0 as? any TaskSubject)?.taskDescription ?? "task" }
        let what = (subject ?? "withTimeout") + detail(of: scope)
        let ending = scope.verdict == nil ? "" : ", its waits were ended"
        return what + state(of: scope) + ending
    }

    private func detail(of scope: TaskScope) -> String {
        (scope.subject as? any TaskSubject)?.taskDetail.map { " (\($0))" } ?? ""
    }

    /// A scope and those inside it, down to the first that tells what it waits for.
    mutating func line(about scope: TaskScope) -> String {
        sinks()
        var parts = [describe(scope)]
        var inner = scope
        while let child = inner.children.last {
            inner = child
            parts.append(describe(inner))
        }
        return parts.joined(separator: ", ")
    }

    private func state(of scope: TaskScope) -> String {
        if let waiter = scope.ownWait, waiter.isWaiting {
            let place = places[ObjectIdentifier(waiter)].map { " (\($0))" } ?? ""
            return ": waits for \(scope.ownPurpose)\(place)"
        }
        // A group's own scope runs nothing, and around an inner scope the inner one tells.
        if scope.subject === TaskLabel.group || !scope.children.isEmpty { return "" }
        if let owner = scope.owner, owner == CurrentTask.identity { return ": runs now" }
        return scope.owner == nil ? ": has not begun" : ": in no wait of the loop's"
    }

    private func seconds(_ nanoseconds: Int64) -> String {
        "\((Double(nanoseconds) / 1e6).rounded() / 1e3) s"
    }
}
