/// What a waiting read needs before it is worth waking its task.
///
/// A message that comes in many pieces is gathered as they come; waking the task for each of them
/// would cost several times as much as the piece itself.
enum ReadGoal {
    /// Whatever comes.
    case anyBytes
    /// So many bytes in the buffer.
    case count(Int)
    case delimiter(DelimiterSearch)

    func isReached(in buffer: borrowing ReadBuffer) -> Bool {
        switch self {
        case .anyBytes: true
        case .count(let count): buffer.count >= count
        case .delimiter(let search): search.isDone(in: buffer)
        }
    }
}

/// One search for a delimiter, in a buffer that grows.
final class DelimiterSearch {
    private(set) var scanner: DelimiterScanner
    private let maxBytes: Int
    /// The length up to and with the delimiter.
    private var length: Int?

    init(_ delimiter: [UInt8], maxBytes: Int) {
        scanner = DelimiterScanner(delimiter)
        self.maxBytes = maxBytes
    }

    /// The length, unless it is above the limit.
    var found: Int? {
        guard let length, length <= maxBytes else { return nil }
        return length
    }

    /// Whether the delimiter was found, or can't be within the limit any more.
    func isDone(in buffer: borrowing ReadBuffer) -> Bool {
        if length == nil { length = buffer.withBytes { scanner.find(in: $0) } }
        return length != nil || buffer.count >= maxBytes
    }
}

extension IOStream {
    /// The transport may have bytes: whoever takes them gets a share of the turn's.
    func takeInput() {
        if case .lingering = phase { return discardInput() }
        if consumer != nil { return pumpConsumer() }
        if readWaiter.isWaiting { wakeReader() } else if noticesEnd { noticeEndSoon() }
    }

    /// The others have their share first; then this goes on as if by an event. Once a turn, however
    /// many events come meanwhile.
    func takeInputSoon() {
        guard !isInputScheduled else { return }
        isInputScheduled = true
        loop.runSoon { [weak self] in
            guard let self else { return }
            isInputScheduled = false
            takeInput()
        }
    }

    /// Whether a read has nothing yet of what it is for, so that it can be ended without a loss.
    var isIdleRead: Bool { readBuffer.isEmpty && !hasPartOfRead }

    /// Wakes the waiting reader if it has what it needs, or has to be told that it won't come.
    private func wakeReader() {
        do {
            if case .anyBytes = readGoal, isOverBudget { return takeInputSoon() }
            while !readGoal.isReached(in: readBuffer) {
                if isOverBudget { return takeInputSoon() }
                if try fillBuffer() { continue }
                guard case .open = phase, input == .open else { break }
                // A read that has nothing is ended by a drain: it looks for itself.
                if isDraining, isIdleRead { break }
                return
            }
        } catch {
            // The stream is closed now, and its reader was told.
        }
        loop.resumingInline { readWaiter.fire() }
        if noticesEnd { noticeEndSoon() }
    }
}
