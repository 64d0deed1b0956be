/// The nearest timeouts: a 4-ary heap. The four children of a node share two cache lines.
struct NearTimers {
    private(set) var keys: ContiguousArray<Timeout>
    /// How many of the keys are of timeouts that were removed.
    var dead = 0

    init(_ keys: ContiguousArray<Timeout> = []) {
        self.keys = keys
        guard keys.count > 1 else { return }
        for index in stride(from: (keys.count - 2) / 4, through: 0, by: -1) {
            siftDown(keys[index], from: index)
        }
    }

    @inline(__always)
    var first: Timeout? { keys.first }

    @inline(__always)
    mutating func insert(_ key: Timeout) {
        keys.append(key)
        var index = keys.count - 1
        while index > 0 {
            let parent = (index - 1) / 4
            guard key.precedes(keys[parent]) else { break }
            keys[index] = keys[parent]
            index = parent
        }
        keys[index] = key
    }

    @inline(__always)
    mutating func removeFirst() {
        let last = keys.removeLast()
        if !keys.isEmpty { siftDown(last, from: 0) }
    }

    mutating func removeAll(keepingCapacity: Bool) {
        keys.removeAll(keepingCapacity: keepingCapacity)
        dead = 0
    }

    private mutating func siftDown(_ key: Timeout, from start: Int) {
        var index = start
        while true {
            let firstChild = index * 4 + 1
            guard firstChild < keys.count else { break }
            var least = firstChild
            for child in firstChild + 1..<max(firstChild + 1, min(firstChild + 4, keys.count))
            where keys[child].precedes(keys[least]) {
                least = child
            }
            guard keys[least].precedes(key) else { break }
            keys[index] = keys[least]
            index = least
        }
        keys[index] = key
    }
}

/// Timeouts that are not among the nearest, in no order.
struct FarTimers {
    /// No deadline in here is before this one.
    var lowerBound: Int64
    var keys: ContiguousArray<Timeout> = []
    /// How many of the keys are of timeouts that were removed.
    var dead = 0
    /// When so many have come together they are parted, lest too much is to be done at once later.
    var countMax = FarTimers.countMaxAtFirst

    static let countMaxAtFirst = 32_768
    private static let keysPerPart = 64

    init(lowerBound: Int64) {
        self.lowerBound = lowerBound
    }

    /// Distributes timeouts by deadline, the nearest first; two passes over the keys.
    ///
    /// - Parameters:
    ///   - partsMax: A power of two.
    ///   - capacity: For how many keys each part is to have room at least. What is not used of it
    ///     takes addresses, and no memory that was not in use before.
    /// - Returns: Parts that are not empty; nil if there is only one deadline.
    static func part(
        _ keys: ContiguousArray<Timeout>, into partsMax: Int, capacity: Int = 0
    ) -> ContiguousArray<FarTimers>? {
        guard var least = keys.first?.deadline else { return nil }
        var greatest = least
        for key in keys {
            least = min(least, key.deadline)
            greatest = max(greatest, key.deadline)
        }
        guard least < greatest else { return nil }
        // Differences as unsigned numbers: from one end of time to the other they still fit.
        let range = UInt64(bitPattern: greatest &- least)
        let partBits = min(partsMax / 2, max(2, keys.count / keysPerPart)).bitWidthOfValue
        let shift = UInt64(max(0, range.bitWidthOfValue - partBits))
        func number(_ key: Timeout) -> Int {
            Int(truncatingIfNeeded: UInt64(bitPattern: key.deadline &- least) &>> shift)
        }
        var counts = ContiguousArray(repeating: 0, count: Int(range &>> shift) + 1)
        for key in keys { counts[number(key)] += 1 }
        var parts = ContiguousArray<FarTimers>()
        parts.reserveCapacity(counts.count)
        for (number, count) in counts.enumerated() {
            let offset = UInt64(number) &<< shift
            var part = FarTimers(lowerBound: least &+ Int64(bitPattern: offset))
            if count > 0 { part.keys.reserveCapacity(max(count, capacity)) }
            parts.append(part)
        }
        for key in keys { parts[number(key)].keys.append(key) }
        parts.removeAll { $0.keys.isEmpty }
        return parts
    }
}

extension FixedWidthInteger {
    /// How many bits it takes to write the value down.
    fileprivate var bitWidthOfValue: Int { Self.bitWidth - leadingZeroBitCount }
}
