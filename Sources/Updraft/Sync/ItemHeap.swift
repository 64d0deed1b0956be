/// A binary heap that keeps equal items in their order of coming, and moves its items only.
///
/// What compares two of them must not use the queue that they are in: it is called while they are
/// out of their places. The language stops a program in which it does.
struct ItemHeap<Item>: ~Copyable {
    /// Side by side and no pairs: to look the type of a generic pair up at run time is atomic.
    private var items = ItemSlots<Item>()
    /// Rise in the order of coming.
    private var numbers = ItemSlots<UInt64>()
    private var lastNumber: UInt64 = 0

    init() {}

    var count: Int { items.count }

    mutating func insert(_ item: consuming Item, by isLess: (Item, Item) -> Bool) {
        lastNumber += 1
        items.append(item)
        numbers.append(lastNumber)
        var index = count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(index, parent, by: isLess) else { return }
            swapAt(index, parent)
            index = parent
        }
    }

    mutating func popLeast(by isLess: (Item, Item) -> Bool) -> Item? {
        guard count > 1 else {
            _ = numbers.popLast()
            return items.popLast()
        }
        swapAt(0, count - 1)
        _ = numbers.popLast()
        let least = items.popLast()
        sink(by: isLess)
        return least
    }

    /// Takes the item at the top to its place.
    private mutating func sink(by isLess: (Item, Item) -> Bool) {
        var index = 0
        while true {
            var least = index
            let child = index * 2 + 1
            for child in child..<max(child, min(child + 2, count)) {
                if precedes(child, least, by: isLess) { least = child }
            }
            if least == index { return }
            swapAt(index, least)
            index = least
        }
    }

    private mutating func precedes(
        _ left: Int, _ right: Int, by isLess: (Item, Item) -> Bool
    ) -> Bool {
        // An item that stays in its place would be copied for the call.
        let first = items.take(left)
        let second = items.take(right)
        var result = isLess(first, second)
        if !result, numbers[left] < numbers[right] { result = !isLess(second, first) }
        items.put(consume first, at: left)
        items.put(consume second, at: right)
        return result
    }

    private mutating func swapAt(_ left: Int, _ right: Int) {
        items.swapAt(left, right)
        numbers.swapAt(left, right)
    }
}
