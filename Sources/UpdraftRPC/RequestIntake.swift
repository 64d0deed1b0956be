/// Whether requests are taken from a peer: counts those in progress, and knows why reading is
/// paused.
struct RequestIntake {
    /// What to do with the stream.
    enum Action {
        case none
        case pause
        case resume
    }

    /// Requests and notifications whose methods run as tasks.
    private(set) var inProgress = 0

    private var isFull = false
    private var isHeldBack = false

    /// Whether nothing is to be read from the peer.
    var isPaused: Bool { isFull || isHeldBack }

    /// A method has begun to run as a task.
    mutating func begin(max: Int) -> Action {
        inProgress += 1
        return change { $0.isFull = $0.inProgress >= max }
    }

    /// A task has ended.
    mutating func end(max: Int) -> Action {
        inProgress -= 1
        return change { $0.isFull = $0.inProgress >= max }
    }

    /// Too much is unsent, or no more.
    mutating func holdBack(_ isHeldBack: Bool) -> Action {
        change { $0.isHeldBack = isHeldBack }
    }

    private mutating func change(_ edit: (inout RequestIntake) -> Void) -> Action {
        let wasPaused = isPaused
        edit(&self)
        if isPaused == wasPaused { return .none }
        return isPaused ? .pause : .resume
    }
}
