#if Regex
    /// One read's search for a match, in bytes that grow.
    ///
    /// PCRE2 has to begin again where a match that is not there yet began. So it is asked only when
    /// there can be a match: not before a byte has come that every match needs. And it is asked for
    /// no more than the bytes that came pay for (`LookBudget`): what is above that is put off until
    /// more have come, or none can, or the loop has time for it (`LookShare`).
    final class PatternSearch {
        /// The match and all that decides where it ends are within so many bytes, or there is none.
        let maxBytes: Int

        /// Bytes that PCRE2 was given or that were searched for one byte, counted as often as they
        /// were.
        private(set) var lookedAt = 0

        /// When to look at what the last call has put off, although nothing comes.
        private(set) var putOffUntil: LoopInstant?

        private let pattern: BytePattern
        private let data: BytePattern.MatchData?
        private let matcher: PatternMatcher?
        private let budget: LookBudget
        private let clock: any LoopClock
        /// No match begins before this.
        private var start = 0
        /// From `start` up to here there is none of the byte that a match needs.
        private var missing = 0
        /// Where such a byte was found.
        private var found: Int?
        private var looked = Look(count: 0, isEnd: false)
        /// When the last look was over, and how long it took.
        private var lookedLast: LoopInstant
        private var lookTook = Duration.zero
        /// For the next look that no bytes pay for.
        private var turn: LookShare.Turn?
        private var isHopeless = false

        private struct Look: Equatable {
            let count: Int
            let isEnd: Bool
        }

        /// - Parameters:
        ///   - clock: The loop's.
        ///   - matcher: The loop's; nil if there was no memory for it.
        init(
            _ pattern: BytePattern, maxBytes: Int, clock: any LoopClock,
            matcher: PatternMatcher? = PatternMatcher(), budget: LookBudget = LookBudget()
        ) {
            self.pattern = pattern
            self.maxBytes = maxBytes
            self.clock = clock
            self.matcher = matcher
            self.budget = budget
            lookedLast = clock.now()
            data = BytePattern.MatchData(pattern)
        }

        deinit {
            if let turn { matcher?.share.giveBack(turn) }
        }

        /// - Parameters:
        ///   - all: All bytes so far: those of the last call and what has been added.
        ///   - isEnd: Whether no more bytes will come.
        ///   - isLast: Whether this is the last call for another reason.
        func look(
            at all: UnsafeRawBufferPointer, isEnd: Bool, isLast: Bool = false
        ) -> BytePattern.Search {
            guard let data, let matcher else { return .failed("out of memory") }
            putOffUntil = nil
            let bytes = UnsafeRawBufferPointer(rebasing: all.prefix(maxBytes))
            // What stands behind the limit, be it the end, must not matter: it may come later.
            let look = Look(count: bytes.count, isEnd: isEnd && bytes.count < maxBytes)
            if isHopeless || look == looked { return .none(from: start) }
            guard mayMatch(in: bytes) else { return .none(from: start) }
            let count = bytes.count - start
            let isFinal = isEnd || isLast || bytes.count == maxBytes
            let isPaid = isFinal || lookedAt + count <= budget.bytes(of: bytes.count)
            guard isPaid || isMyTurn(for: count, matcher) else { return .none(from: start) }
            looked = look
            lookedAt += count
            let begin = clock.now()
            let result = pattern.search(bytes, from: start, isEnd: look.isEnd, data, matcher)
            lookedLast = clock.now()
            lookTook = begin.duration(to: lookedLast)
            if !isPaid, let turn = turn.take() { matcher.share.end(turn, took: lookTook) }
            switch result {
            case .none(let from): start = from
            case .never: isHopeless = true
            case .match, .failed: break
            }
            return result
        }

        /// Whether the time has come for a look at so many bytes, of which too few came for it.
        private func isMyTurn(for count: Int, _ matcher: PatternMatcher) -> Bool {
            let now = clock.now()
            let turn = turn ?? matcher.share.turn(for: lookTook, at: now)
            self.turn = turn
            let next = max(turn.begin, lookedLast.advanced(by: budget.pausePerByte * count))
            if now >= next { return true }
            putOffUntil = next
            return false
        }

        private func mayMatch(in bytes: UnsafeRawBufferPointer) -> Bool {
            // Behind all of them, too: a match may be empty where the stream ends.
            guard bytes.count - start >= pattern.needs.bytesMin else { return false }
            guard let byte = pattern.needs.byte else { return true }
            let first = start + byte.offset
            if let found, found >= first { return true }
            let from = max(missing, first)
            guard from < bytes.count else { return false }
            let new = UnsafeRawBufferPointer(rebasing: bytes[from...])
            if let index = byte.firstIndex(in: new) {
                lookedAt += index + 1
                found = from + index
                return true
            }
            lookedAt += new.count
            missing = bytes.count
            return false
        }
    }
#endif
