internal import Logging
internal import MessagePack
internal import Updraft

// Requests of the peer.
extension RPCPeer {
    func handleRequest(
        _ id: UInt32, _ name: UnsafeRawBufferPointer, _ count: Int, _ arguments: MessagePackReader
    ) {
        if case .draining = phase {
            phase = .draining(isPeerSending: true)
            return answerError(id, "this side is stopping and takes no more requests")
        }
        guard let method = context.methods.find(name) else {
            return answerError(id, RPCPeer.unknown(name))
        }
        guard count == method.arity else {
            return answerError(id, RPCPeer.wrongArity(method, count))
        }
        var arguments = RPCArguments(arguments)
        switch method.body {
        case .immediate(let body):
            answer(id, method) { [self] writer in
                let outer = loop.beginWork(method.workName)
                defer { loop.endWork(method.workName, outer) }
                try body(self, &arguments, &writer)
            }
        case .deferred(let prepare):
            do {
                start(method, id, try prepare(self, &arguments))
            } catch {
                answerError(id, text(of: error, method))
            }
        }
    }

    /// As a request, but whatever happens, nobody is told.
    func handleNotification(
        _ name: UnsafeRawBufferPointer, _ count: Int, _ arguments: MessagePackReader
    ) {
        if case .draining = phase {
            phase = .draining(isPeerSending: true)
            return
        }
        guard let method = context.methods.find(name) else {
            return context.log.debug("\(self): notification: \(RPCPeer.unknown(name))")
        }
        guard count == method.arity else {
            return context.log.debug("\(self): notification: \(RPCPeer.wrongArity(method, count))")
        }
        var arguments = RPCArguments(arguments)
        do {
            switch method.body {
            case .immediate(let body):
                var writer = context.takeWriter()
                defer { context.give(&writer) }
                let outer = loop.beginWork(method.workName)
                defer { loop.endWork(method.workName, outer) }
                try body(self, &arguments, &writer)
            case .deferred(let prepare):
                start(method, nil, try prepare(self, &arguments))
            }
        } catch {
            context.log.debug("\(self): notification: \(text(of: error, method))")
        }
    }

    // MARK: Tasks

    private func start(_ method: RPCMethod, _ id: UInt32?, _ work: @escaping RPCMethod.Work) {
        apply(intake.begin(max: options.requestsInProgressMax))
        lastTaskKey += 1
        let key = lastTaskKey
        let task = loop.spawn(name: method.name) { [self] in
            await run(method, id, work)
            tasks[key] = nil
            apply(intake.end(max: options.requestsInProgressMax))
            closeIfDone()
            if tasks.isEmpty { allTasksEnded.fire() }
        }
        tasks[key] = RequestTask(method: method.name, task: task)
    }

    /// What is in flight, for people; nil if nothing is.
    var work: String? {
        var parts: [String] = []
        if !tasks.isEmpty {
            // In the order in which they came.
            let oldest = tasks.sorted { $0.key < $1.key }.prefix(RPCPeer.shownRequestsMax)
            var names = oldest.map { "'\($0.value.method)'" }
            if tasks.count > names.count { names.append("…") }
            let noun = tasks.count == 1 ? "request" : "requests"
            parts.append("\(tasks.count) \(noun) in progress: \(names.joined(separator: ", "))")
        }
        if calls.count > 0 { parts.append("\(calls.count) calls of ours unanswered") }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private nonisolated(nonsending) func run(
        _ method: RPCMethod, _ id: UInt32?, _ work: RPCMethod.Work
    ) async {
        do {
            let write = try await work()
            if let id { answer(id, method, write) }
        } catch {
            // A task of a connection that is gone was cancelled; nobody is left to be told.
            if isClosed, error is CancellationError { return }
            let text = text(of: error, method)
            if let id {
                answerError(id, text)
            } else {
                context.log.debug("\(self): notification: \(text)")
            }
        }
    }

    func apply(_ action: RequestIntake.Action) {
        switch action {
        case .none: break
        case .pause: stream.pauseConsuming()
        case .resume: stream.resumeConsuming()
        }
    }

    // MARK: Answers

    /// Writes a result, or in its place the error that came of it.
    @inline(__always)
    private func answer(
        _ id: UInt32, _ method: RPCMethod, _ write: (inout MessagePackWriter) throws -> Void
    ) {
        var writer = context.takeWriter()
        RPCWire.resultHead(id, into: &writer)
        do {
            try writer.nested { writer in try write(&writer) }
            try checkSize(writer, "the result of '\(method.name)'")
        } catch {
            // What was written so far would end in the middle.
            writer.truncate(to: 0)
            RPCWire.error(id, text(of: error, method), into: &writer)
        }
        sendAnswer(&writer)
        context.give(&writer)
    }

    func answerError(_ id: UInt32, _ text: String) {
        var writer = context.takeWriter()
        RPCWire.error(id, text, into: &writer)
        sendAnswer(&writer)
        context.give(&writer)
    }

    private func sendAnswer(_ writer: inout MessagePackWriter) {
        do {
            try send(&writer)
        } catch {
            context.log.debug("\(self): an answer could not be sent: \(error)")
        }
    }

    /// What the caller is told of an error.
    @inline(never)
    private func text(of error: any Error, _ method: RPCMethod) -> String {
        switch error {
        case let error as RPCArgumentError:
            return "argument \(error.position) of '\(method.name)': \(error.reason)"
        case let error as any RPCReportableError:
            return error.rpcMessage
        default:
            context.applicationLog.error("The method '\(method.name)' threw: \(error)")
            return "internal error in '\(method.name)'"
        }
    }

    private static func unknown(_ name: UnsafeRawBufferPointer) -> String {
        let shown = String(decoding: name.prefix(shownNameMax), as: UTF8.self)
        return "unknown method '\(shown)'"
    }

    private static func wrongArity(_ method: RPCMethod, _ count: Int) -> String {
        let noun = method.arity == 1 ? "argument" : "arguments"
        return "'\(method.name)' takes \(method.arity) \(noun), not \(count)"
    }

    private static let shownRequestsMax = 3

    /// Bytes of an unknown name that are sent back.
    private static let shownNameMax = 100
}
