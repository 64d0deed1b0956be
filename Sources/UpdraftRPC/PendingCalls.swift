internal import Updraft

/// One call of ours that waits for its answer.
final class PendingCall {
    enum State {
        case waiting
        /// `reply` holds the error and the result as they came.
        case answered
        case failed(any Error)
    }

    private let loop: IOLoop
    private let waiter: Waiter
    private var timer: Timeout?
    var id: UInt32 = 0
    var state = State.waiting
    /// Kept when the object is used again, so that a small reply needs no memory.
    private(set) var reply: [UInt8] = []

    init(loop: IOLoop) {
        self.loop = loop
        waiter = Waiter(loop: loop)
    }

    /// Ends the wait with an answer.
    func answer(_ payload: UnsafeRawBufferPointer) {
        reply.removeAll(keepingCapacity: reply.capacity <= PendingCall.replyCapacityMax)
        reply.append(contentsOf: payload)
        state = .answered
        waiter.fire()
    }

    /// Waits for the end.
    nonisolated(nonsending) func answered() async throws {
        while true {
            switch state {
            case .waiting: try await waiter.wait(for: .reply)
            case .answered: return
            case .failed(let error): throw error
            }
        }
    }

    func startTimer(_ limit: Duration, _ method: String) {
        timer = loop.runLater(limit) { [unowned self] in
            fail(RPCError(.timeout, "'\(method)' was not answered within \(limit)."))
        }
    }

    func stopTimer() {
        if let timer = timer.take() { loop.removeTimeout(timer) }
    }

    /// Ends the wait with an error.
    func fail(_ error: any Error) {
        guard case .waiting = state else { return }
        state = .failed(error)
        waiter.fire()
    }

    private static let replyCapacityMax = 4_096
}

/// The calls to one peer that wait for their answers, by their ids.
struct PendingCalls {
    private var calls: [UInt32: PendingCall] = [:]
    private var spare: [PendingCall] = []
    private var lastID: UInt32 = 0

    private static let spareMax = 16

    var count: Int { calls.count }

    /// Adds a call under an id that is not in use and not 0, which malformed requests are answered
    /// under.
    mutating func begin(loop: IOLoop) -> PendingCall {
        repeat { lastID &+= 1 } while lastID == 0 || calls[lastID] != nil
        let call = spare.popLast() ?? PendingCall(loop: loop)
        call.id = lastID
        call.state = .waiting
        calls[lastID] = call
        return call
    }

    /// Takes the call that an answer belongs to; nil if there is none, or no more.
    mutating func take(_ id: UInt32) -> PendingCall? {
        calls.removeValue(forKey: id)
    }

    /// The call has ended for its caller, in whatever way.
    mutating func end(_ call: PendingCall) {
        if calls[call.id] === call { calls[call.id] = nil }
        if spare.count < PendingCalls.spareMax { spare.append(call) }
    }

    /// Goes on after this id; for tests of what happens after the last one.
    mutating func jump(to id: UInt32) {
        lastID = id
    }

    /// Takes all calls, in the order in which they were made.
    mutating func takeAll() -> [PendingCall] {
        let taken = calls.values.sorted { $0.id < $1.id }
        calls = [:]
        return taken
    }
}
