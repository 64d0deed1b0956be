/// Collects the best record of every player from the records of a log.
struct ScoreLogReplay {
    /// How many records were taken.
    private(set) var recordCount = 0
    private var slots: [String: Int] = [:]
    private var bests: [ScoreRecord] = []
    /// For each best, which record of the log it was.
    private var reachedAt: [Int] = []
    private var isInOrder = true

    mutating func take(_ record: ScoreRecord) {
        let slot = Self.claim(&slots[record.uid], orElse: bests.count)
        if slot == bests.count {
            if slots.count == slots.capacity {
                // Moving the strings of a growing dictionary takes longer than all the rest of
                // reading; by itself it would only double.
                slots.reserveCapacity(slots.count * 4)
            }
            bests.append(record)
            reachedAt.append(recordCount)
        } else if record.score > bests[slot].score {
            bests[slot] = record
            reachedAt[slot] = recordCount
            isInOrder = false
        }
        recordCount += 1
    }

    /// Takes all records of a log whose header was checked.
    ///
    /// - Parameter fileBytes: Where to stop reading.
    /// - Returns: Where the last record ends; less than `fileBytes` if a torn one follows.
    /// - Throws: As `ScoreLogReader.next()`.
    mutating func takeAll(of file: ScoreLogFile, fileBytes: Int64) throws -> Int64 {
        var reader = ScoreLogReader(file, fileBytes: fileBytes)
        while case .record(let record) = try reader.next() { take(record) }
        return reader.offset
    }

    /// The best record of each player, in the order in which they were written.
    func records() -> [ScoreRecord] {
        guard !isInOrder else { return bests }
        return bests.indices.sorted { reachedAt[$0] < reachedAt[$1] }.map { bests[$0] }
    }

    /// One lookup for "find or insert".
    private static func claim(_ slot: inout Int?, orElse new: Int) -> Int {
        if let slot { return slot }
        slot = new
        return new
    }
}
