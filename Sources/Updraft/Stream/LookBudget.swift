#if Regex
    /// How many bytes one read may look at, however they are cut: `free`, and `perByte` for each
    /// byte that came. That is enough for what is short, or comes in pieces of a thirtieth or more.
    /// Above that, a look has to wait for `pausePerByte` of its length since the one before.
    struct LookBudget {
        var free = 65_536
        var perByte = 16
        /// For 64 KiB, the default limit of a read, less than 10 ms.
        var pausePerByte = Duration.nanoseconds(150)

        func bytes(of received: Int) -> Int { free + perByte * received }
    }

    /// The part of a loop's time that is for looks which no bytes pay for, a tenth: one for all of
    /// its reads, since each may wait for a peer that sends a byte now and then.
    ///
    /// Each read that has to wait is given a turn, one behind the other, so that nobody is left
    /// out and only the one whose turn it is wakes up.
    struct LookShare {
        /// One look's place in time.
        struct Turn {
            let begin: LoopInstant
            /// How long the look is thought to take.
            fileprivate let expected: Duration
        }

        private static let part = 10

        /// When all turns that were given are over.
        private var end = LoopInstant(nanoseconds: .min)

        /// - Parameter expected: How long the look will take, as far as that is known.
        mutating func turn(for expected: Duration, at now: LoopInstant) -> Turn {
            let begin = max(now, end)
            end = begin.advanced(by: expected * LookShare.part)
            return Turn(begin: begin, expected: expected)
        }

        /// A look is over, and took so long.
        mutating func end(_ turn: Turn, took: Duration) {
            end = end.advanced(by: (took - turn.expected) * LookShare.part)
        }

        /// There will be no look.
        mutating func giveBack(_ turn: Turn) {
            end(turn, took: .zero)
        }
    }
#endif
