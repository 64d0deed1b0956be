/// All players in the order of their rank: an ordered list that knows positions.
///
/// The entries lie in sorted blocks of at most `blockCapacity`, and a Fenwick tree holds the
/// blocks' lengths. With n entries in b blocks:
///
/// - finding a position or a rank is O(log n): one binary search over the blocks, one in the
///   block, one walk up the tree;
/// - inserting or removing moves at most `blockCapacity` entries of contiguous memory;
/// - splitting or merging blocks rebuilds the tree in O(b), at most about once in a quarter of
///   `blockCapacity` changes, which for a million entries is some ten additions per change.
///
/// A balanced tree or a skip list would have the better bound on paper, but one heap node and one
/// cache miss per step, and the standard library and swift-collections have neither with
/// positions. Nothing here recurses, and walking in rank order is walking arrays.
///
/// It is a value: a copy stays as it was while the original changes.
struct ScoreboardRanking {
    /// A player's place: higher scores first, and among equals who got there first.
    struct Entry {
        let score: Int64
        /// Counts up with every new best, so that no two entries compare equal.
        let sequence: UInt64
        let uid: String
    }

    /// Where an entry is, or would be inserted.
    struct Position {
        var block: Int
        var offset: Int
    }

    /// The most entries that a block holds.
    let blockCapacity: Int
    private(set) var count = 0
    /// How often blocks were split or merged, for the tests of the bounds above.
    private(set) var restructurings = 0
    private(set) var blocks: [[Entry]] = []
    private var lengths = FenwickTree([])

    init(blockCapacity: Int = 512) {
        precondition(blockCapacity >= 4, "a block must be able to split into two real halves")
        self.blockCapacity = blockCapacity
    }

    /// Takes entries that are in rank order already; O(n).
    init(sorted entries: [Entry], blockCapacity: Int = 512) {
        self.init(blockCapacity: blockCapacity)
        // Room in every block, or the first changes after a start would all split one.
        let fill = blockCapacity / 4 * 3
        blocks = stride(from: 0, to: entries.count, by: fill).map { first in
            Array(entries[first..<min(first + fill, entries.count)])
        }
        count = entries.count
        rebuildLengths()
    }

    /// How many entries have a score above this one.
    func countAbove(_ score: Int64) -> Int {
        index(of: position(of: score, sequence: 0))
    }

    /// How many entries come before a position.
    func index(of position: Position) -> Int {
        lengths.sum(before: position.block) + position.offset
    }

    /// The first entry that does not rank before the given key; past the end if all do.
    func position(of score: Int64, sequence: UInt64) -> Position {
        let following = Self.partitionPoint(blocks.count) {
            blocks[$0][0].ranksBefore(score, sequence)
        }
        guard following > 0 else { return Position(block: 0, offset: 0) }
        let block = following - 1
        let offset = Self.partitionPoint(blocks[block].count) {
            blocks[block][$0].ranksBefore(score, sequence)
        }
        return Position(block: block, offset: offset)
    }

    mutating func insert(_ entry: Entry) {
        count += 1
        guard !blocks.isEmpty else {
            blocks.append([entry])
            return rebuildLengths()
        }
        let position = position(of: entry.score, sequence: entry.sequence)
        blocks[position.block].insert(entry, at: position.offset)
        if blocks[position.block].count > blockCapacity {
            split(position.block)
        } else {
            lengths.add(1, at: position.block)
        }
    }

    /// Removes the entry with exactly this key, which must be there.
    mutating func remove(score: Int64, sequence: UInt64) {
        var position = position(of: score, sequence: sequence)
        if position.offset == blocks[position.block].count {
            // The key is the first of the next block: "not before" found the end of this one.
            position = Position(block: position.block + 1, offset: 0)
        }
        let removed = blocks[position.block].remove(at: position.offset)
        precondition(removed.score == score && removed.sequence == sequence)
        count -= 1
        lengths.add(-1, at: position.block)
        if blocks[position.block].count < blockCapacity / 4 { mergeIfSmall(position.block) }
    }

    private mutating func split(_ block: Int) {
        let half = blocks[block].count / 2
        let upper = Array(blocks[block][half...])
        blocks[block].removeSubrange(half...)
        blocks.insert(upper, at: block + 1)
        restructurings += 1
        rebuildLengths()
    }

    /// Merges a small block into a neighbour unless the result would soon have to split again.
    private mutating func mergeIfSmall(_ block: Int) {
        let length = blocks[block].count
        let neighbour = [block - 1, block + 1].first {
            blocks.indices.contains($0) && blocks[$0].count + length <= blockCapacity / 4 * 3
        }
        if let neighbour {
            let lower = min(block, neighbour)
            blocks[lower] += blocks[lower + 1]
            blocks.remove(at: lower + 1)
        } else if length == 0 {
            blocks.remove(at: block)
        } else {
            return
        }
        restructurings += 1
        rebuildLengths()
    }

    private mutating func rebuildLengths() {
        lengths = FenwickTree(blocks.map(\.count))
    }

    /// The first index in 0..<count for which the predicate is false; it must be true before.
    private static func partitionPoint(_ count: Int, _ isBefore: (Int) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ScoreboardRanking.Entry {
    func ranksBefore(_ score: Int64, _ sequence: UInt64) -> Bool {
        self.score != score ? self.score > score : self.sequence < sequence
    }
}

/// Counts with O(log n) sums over a prefix and O(log n) changes.
private struct FenwickTree {
    /// Node i (from 1) holds the sum of the `i & -i` counts that end with count i - 1.
    private var nodes: [Int]

    init(_ counts: [Int]) {
        nodes = [0] + counts
        for node in 1..<max(nodes.count, 1) {
            let parent = node + (node & -node)
            if parent < nodes.count { nodes[parent] += nodes[node] }
        }
    }

    func sum(before index: Int) -> Int {
        var sum = 0
        var node = index
        while node > 0 {
            sum += nodes[node]
            node -= node & -node
        }
        return sum
    }

    mutating func add(_ change: Int, at index: Int) {
        var node = index + 1
        while node < nodes.count {
            nodes[node] += change
            node += node & -node
        }
    }
}
