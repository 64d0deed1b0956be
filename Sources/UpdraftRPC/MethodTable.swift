/// Methods by the bytes of their names, so that a request needs no string.
///
/// Open addressing with linear probing, at most half full. Names come from the program, not from
/// peers, so nobody can make them collide.
struct MethodTable {
    private var slots: ContiguousArray<RPCMethod?> = ContiguousArray(repeating: nil, count: 16)
    private var longestName = 0
    private(set) var count = 0

    /// The methods in no order.
    var methods: [RPCMethod] { slots.compactMap(\.self) }

    /// The method of that name, or nil.
    func find(_ name: UnsafeRawBufferPointer) -> RPCMethod? {
        // A peer's name may be megabytes long; no need to hash it.
        guard name.count <= longestName else { return nil }
        let mask = slots.count - 1
        var index = MethodTable.hash(name) & mask
        while let method = slots[index] {
            if method.nameBytes.count == name.count, name.elementsEqual(method.nameBytes) {
                return method
            }
            index = (index + 1) & mask
        }
        return nil
    }

    /// The method of that name, or nil.
    func find(_ name: String) -> RPCMethod? {
        Array(name.utf8).withUnsafeBytes { find($0) }
    }

    /// Adds a method whose name is not in the table.
    mutating func insert(_ method: RPCMethod) {
        if (count + 1) * 2 > slots.count { grow() }
        place(method)
        count += 1
        longestName = max(longestName, method.nameBytes.count)
    }

    private mutating func place(_ method: RPCMethod) {
        let mask = slots.count - 1
        var index = method.nameBytes.withUnsafeBytes { MethodTable.hash($0) } & mask
        while slots[index] != nil { index = (index + 1) & mask }
        slots[index] = method
    }

    private mutating func grow() {
        let old = methods
        slots = ContiguousArray(repeating: nil, count: slots.count * 2)
        for method in old { place(method) }
    }

    /// FNV-1a, folded so that the low bits see all of it.
    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return Int(truncatingIfNeeded: hash ^ (hash >> 32))
    }
}
