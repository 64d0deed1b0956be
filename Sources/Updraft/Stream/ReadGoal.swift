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
    private var scanner: DelimiterScanner
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
    /// Wakes the waiting reader if it has what it needs, or has to be told that it won't come.
    func wakeReader() {
        guard readWaiter.isWaiting else { return }
        do {
            while !readGoal.isReached(in: readBuffer) {
                if try fillBuffer() { continue }
                if case .open = phase, input == .open {
                    if isOverBudget { wakeReaderSoon() }
                    return
                }
                break
            }
        } catch {
            // The stream is closed now, and its reader was told.
        }
        loop.resumingInline { readWaiter.fire() }
        if noticesEnd { noticeEndSoon() }
    }

    /// The others have their share first; then this stream's reader is woken as if by an event.
    func wakeReaderSoon() {
        loop.runSoon { [weak self] in self?.wakeReader() }
    }
}
