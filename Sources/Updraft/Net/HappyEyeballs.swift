/// Which of a host's addresses to dial, and when: a state machine without input or output.
///
/// The family of the first address goes first. The other family joins in after a pause, or as soon
/// as an address has failed; within a family the addresses are tried one after another. The first
/// connection wins. RFC 8305 in spirit; the order and the pause are those of contract row K10 and
/// conformance list 3.4, 13-30.
///
/// Addresses are named by their index.
struct HappyEyeballs {
    /// What its owner is to do, in this order.
    enum Action: Equatable {
        case dial(Int)
        /// Call `pauseEnded` after the pause, unless `stopTimer` comes first.
        case startTimer
        case stopTimer
        /// Close a connection, or give up one that is under way.
        case abandon(Int)
        /// The connection with this address is the one.
        case succeed(Int)
        /// Every address has failed.
        case fail
    }

    private enum Phase {
        case idle
        /// The other family waits for the pause to end.
        case pausing
        case racing
        case ended
    }

    private var first: ArraySlice<Int>
    private var other: ArraySlice<Int>
    private let firstFamily: [Bool]
    private var inFlight: [Int] = []
    private var phase = Phase.idle

    init(_ addresses: [SocketAddress]) {
        let families = addresses.map { $0.isIPv6 == addresses.first?.isIPv6 }
        firstFamily = families
        first = addresses.indices.filter { families[$0] }[...]
        other = addresses.indices.filter { !families[$0] }[...]
    }

    mutating func start() -> [Action] {
        guard case .idle = phase else { return [] }
        guard let address = first.popFirst() else { return end([.fail]) }
        phase = other.isEmpty ? .racing : .pausing
        inFlight.append(address)
        return other.isEmpty ? [.dial(address)] : [.startTimer, .dial(address)]
    }

    /// The pause is over and nothing is connected yet.
    mutating func pauseEnded() -> [Action] {
        guard case .pausing = phase else { return [] }
        phase = .racing
        return dialNext(ofFirst: false)
    }

    mutating func failed(_ address: Int) -> [Action] {
        guard let place = inFlight.firstIndex(of: address) else { return [] }
        inFlight.remove(at: place)
        var actions = dialNext(ofFirst: firstFamily[address])
        if case .pausing = phase {
            // After a failure the other family need not wait.
            phase = .racing
            actions += [.stopTimer] + dialNext(ofFirst: false)
        }
        return inFlight.isEmpty ? end([.fail]) : actions
    }

    mutating func connected(_ address: Int) -> [Action] {
        guard let place = inFlight.firstIndex(of: address) else { return [.abandon(address)] }
        inFlight.remove(at: place)
        return end([.succeed(address)])
    }

    /// Whoever asked does not wait any longer.
    mutating func giveUp() -> [Action] {
        if case .ended = phase { return [] }
        return end([])
    }

    private mutating func dialNext(ofFirst isFirst: Bool) -> [Action] {
        guard let address = isFirst ? first.popFirst() : other.popFirst() else { return [] }
        inFlight.append(address)
        return [.dial(address)]
    }

    private mutating func end(_ result: [Action]) -> [Action] {
        let timer: [Action]
        if case .pausing = phase { timer = [.stopTimer] } else { timer = [] }
        phase = .ended
        let abandoned = inFlight.map { Action.abandon($0) }
        inFlight = []
        return timer + abandoned + result
    }
}
