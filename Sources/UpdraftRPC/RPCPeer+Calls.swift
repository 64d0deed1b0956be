public import MessagePack
internal import Updraft

// Our calls of the peer's methods.
extension RPCPeer {
    /// Calls a method of the peer and returns its result.
    ///
    /// ```swift
    /// let n: Int = try await peer.call("sum", 1, 2)
    /// ```
    ///
    /// Any number of calls may be in flight, answers come in any order, and the peer may call this
    /// side meanwhile. The call ends with the answer, with an error, after `options.callTimeout`,
    /// or when the calling task is cancelled; an answer that comes later is dropped.
    ///
    /// - Throws: `RPCError`: `.remote` with what the peer answered in place of a result,
    ///   `.timeout`, `.connectionLost` (at once when the connection is), `.tooManyCalls`,
    ///   `.invalidArgument`, `.invalidResult`, `.messageTooLarge`; `CancellationError`;
    ///   `TimeoutError` of a `withTimeout` around it.
    public nonisolated(nonsending) func call<each A: MessagePackEncodable, R: MessagePackDecodable>(
        _ method: String, _ arguments: repeat each A
    ) async throws -> R {
        let call = try begin(method, repeat each arguments, timeout: options.callTimeout)
        defer { end(call) }
        try await call.answered()
        return try result(of: call, method)
    }

    /// Calls a method of the peer, and waits until it has answered; its result is dropped. See the
    /// form with a result.
    public nonisolated(nonsending) func call<each A: MessagePackEncodable>(
        _ method: String, _ arguments: repeat each A
    ) async throws {
        let call = try begin(method, repeat each arguments, timeout: options.callTimeout)
        defer { end(call) }
        try await call.answered()
        try checkAnswer(of: call)
    }

    /// Calls a method of the peer with a time limit of its own.
    ///
    /// ```swift
    /// let ok: Bool = try await peer.call("confirm", timeout: .seconds(2), "sure?")
    /// ```
    ///
    /// - Parameter timeout: In place of `options.callTimeout`.
    /// - Throws: As without it.
    public nonisolated(nonsending) func call<each A: MessagePackEncodable, R: MessagePackDecodable>(
        _ method: String, timeout: Duration, _ arguments: repeat each A
    ) async throws -> R {
        let call = try begin(method, repeat each arguments, timeout: timeout)
        defer { end(call) }
        try await call.answered()
        return try result(of: call, method)
    }

    /// Calls a method of the peer with a time limit of its own; its result is dropped.
    public nonisolated(nonsending) func call<each A: MessagePackEncodable>(
        _ method: String, timeout: Duration, _ arguments: repeat each A
    ) async throws {
        let call = try begin(method, repeat each arguments, timeout: timeout)
        defer { end(call) }
        try await call.answered()
        try checkAnswer(of: call)
    }

    /// Calls a method with arguments whose number and types are known only now.
    ///
    /// - Parameters:
    ///   - arguments: In their order.
    ///   - timeout: `options.callTimeout` if it is nil.
    /// - Throws: As the form with typed arguments.
    public nonisolated(nonsending) func call(
        _ method: String, arguments: [MessagePackValue], timeout: Duration? = nil
    ) async throws -> MessagePackValue {
        let call = try begin(
            method, count: arguments.count, timeout: timeout ?? options.callTimeout
        ) { writer in
            for argument in arguments { try argument.encode(into: &writer) }
        }
        defer { end(call) }
        try await call.answered()
        return try result(of: call, method)
    }

    /// Tells the peer something without asking for an answer; does not wait.
    ///
    /// ```swift
    /// try peer.notify("event", 1)
    /// ```
    ///
    /// - Throws: `RPCError` with `.connectionLost`, `.invalidArgument` or `.messageTooLarge`.
    public func notify<each A: MessagePackEncodable>(
        _ method: String, _ arguments: repeat each A
    ) throws {
        var count = 0
        for _ in repeat each arguments { count += 1 }
        try notify(method, count: count) { writer in
            repeat try (each arguments).encode(into: &writer)
        }
    }

    /// Tells the peer something with arguments whose number and types are known only now.
    ///
    /// - Throws: As the form with typed arguments.
    public func notify(_ method: String, arguments: [MessagePackValue]) throws {
        try notify(method, count: arguments.count) { writer in
            for argument in arguments { try argument.encode(into: &writer) }
        }
    }

    // MARK: Steps

    private func begin<each A: MessagePackEncodable>(
        _ method: String, _ arguments: repeat each A, timeout: Duration
    ) throws -> PendingCall {
        var count = 0
        for _ in repeat each arguments { count += 1 }
        return try begin(method, count: count, timeout: timeout) { writer in
            repeat try (each arguments).encode(into: &writer)
        }
    }

    private func begin(
        _ method: String, count: Int, timeout: Duration,
        _ encode: (inout MessagePackWriter) throws -> Void
    ) throws -> PendingCall {
        loop.checkThread("RPCPeer.call")
        try checkCallable()
        guard calls.count < options.callsInFlightMax else {
            throw RPCError(
                .tooManyCalls,
                "\(calls.count) calls to this peer wait for their answers already.")
        }
        let call = calls.begin(loop: loop)
        do {
            try send(method) { writer in
                try RPCWire.request(call.id, method, count: count, into: &writer, encode)
            }
        } catch {
            calls.end(call)
            throw error
        }
        call.startTimer(timeout, method)
        return call
    }

    private func notify(
        _ method: String, count: Int, _ encode: (inout MessagePackWriter) throws -> Void
    ) throws {
        loop.checkThread("RPCPeer.notify")
        if isClosed { throw RPCError.lost("The connection is closed.") }
        try send(method) { writer in
            try RPCWire.notification(method, count: count, into: &writer, encode)
        }
    }

    private func send(
        _ method: String, _ write: (inout MessagePackWriter) throws -> Void
    ) throws {
        var writer = context.takeWriter()
        defer { context.give(&writer) }
        do {
            try write(&writer)
            try checkSize(writer, "The call of '\(method)'")
            try send(&writer)
        } catch let error as MessagePackError {
            throw RPCError(
                .invalidArgument, "An argument of '\(method)' can't be encoded.", cause: error)
        } catch let error as StreamError {
            throw RPCError.lost("The connection is closed.", cause: error)
        }
    }

    private func checkCallable() throws {
        switch phase {
        case .open, .draining: break
        case .inputEnded: throw RPCError.lost("The peer ended its direction.")
        case .closing, .closed: throw RPCError.lost("The connection is closed.")
        }
    }

    private func end(_ call: PendingCall) {
        call.stopTimer()
        calls.end(call)
    }

    /// Throws what the peer answered in place of a result.
    private func checkAnswer(of call: PendingCall) throws {
        try MessagePackReader.withReader(of: call.reply) { reader in
            try RPCPeer.checkError(&reader)
        }
    }

    private func result<R: MessagePackDecodable>(
        of call: PendingCall, _ method: String
    ) throws -> R {
        try MessagePackReader.withReader(of: call.reply) { reader in
            try RPCPeer.checkError(&reader)
            do {
                return try R.decode(from: &reader)
            } catch {
                throw RPCError(
                    .invalidResult, "The result of '\(method)' is not of type \(R.self).",
                    cause: error)
            }
        }
    }

    private static func checkError(_ reader: inout MessagePackReader) throws {
        if reader.readNilIfPresent() { return }
        let value: MessagePackValue
        do {
            value = try MessagePackValue.decode(from: &reader)
        } catch {
            throw RPCError(.remote, "The peer answered with an unreadable error.", cause: error)
        }
        throw RPCError(remote: value)
    }
}
