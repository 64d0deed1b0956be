// Unsafe: raw memory for the items. It belongs to the one `ItemSlots` that allocated it, which is
// not copyable and stands in a queue, whose loop's thread alone uses it. The `count` places from
// `head` on, around the end, hold an item each, but for those that `take` has left open.

/// Items that are moved in and out, never copied: a copy of an item that is an object, or holds
/// some, would count references.
///
/// In a generic array, code that is not specialised for its elements copies them on the way.
struct ItemSlots<Item>: ~Copyable {
    private static var initialCapacity: Int { 8 }
    /// An emptied queue gives the memory of more items than that back.
    private static var keptCapacityMax: Int { 1_024 }

    private var slots = UnsafeMutablePointer<Item>.allocate(capacity: initialCapacity)
    /// A power of two.
    private var capacity = initialCapacity
    private var head = 0
    private(set) var count = 0

    init() {}

    deinit {
        for index in 0..<count { address(index).deinitialize(count: 1) }
        slots.deallocate()
    }

    mutating func append(_ item: consuming Item) {
        if count == capacity { resize(to: capacity * 2) }
        count += 1
        put(item, at: count - 1)
    }

    mutating func popFirst() -> Item? {
        guard count > 0 else { return nil }
        let item = take(0)
        head = (head + 1) & (capacity - 1)
        removeOpen()
        return item
    }

    mutating func popLast() -> Item? {
        guard count > 0 else { return nil }
        let item = take(count - 1)
        removeOpen()
        return item
    }

    mutating func swapAt(_ left: Int, _ right: Int) {
        let item = take(left)
        address(left).moveInitialize(from: address(right), count: 1)
        put(consume item, at: right)
    }

    // MARK: Open places

    /// Moves an item out. Its place stays open until `put` fills it.
    mutating func take(_ index: Int) -> Item { address(index).move() }

    /// Fills an open place.
    mutating func put(_ item: consuming Item, at index: Int) {
        address(index).initialize(to: item)
    }

    /// The open place, at either end, is there no more.
    private mutating func removeOpen() {
        count -= 1
        if count == 0, capacity > Self.keptCapacityMax { resize(to: Self.initialCapacity) }
    }

    fileprivate func address(_ index: Int) -> UnsafeMutablePointer<Item> {
        slots + ((head + index) & (capacity - 1))
    }

    private mutating func resize(to newCapacity: Int) {
        let larger = UnsafeMutablePointer<Item>.allocate(capacity: newCapacity)
        for index in 0..<count { (larger + index).moveInitialize(from: address(index), count: 1) }
        slots.deallocate()
        slots = larger
        capacity = newCapacity
        head = 0
    }
}

extension ItemSlots where Item == UInt64 {
    subscript(index: Int) -> UInt64 { address(index).pointee }
}
