/// What the head of a value (its format byte and length field) says about what follows it.
///
/// The scanner and `skip()` walk messages with it; neither needs to know the type of a value.
struct FormatHead {
    enum Kind {
        /// A value without children.
        case leaf
        /// An array or a map.
        case container
        /// The length field is not complete; `size` says how many bytes the head has.
        case truncated
        /// The byte `0xc1`.
        case malformed
    }

    var kind: Kind
    /// Bytes of the head: the format byte and the length field.
    var size: Int
    /// Bytes that follow the head and belong to the value itself.
    var payload = 0
    /// Values that follow: the elements of an array, or the keys and values of a map.
    var children = 0

    /// Reads the head at `start`, of which `available` bytes (at least one) may be touched.
    @inline(__always)
    init(at start: UnsafeRawPointer, available: Int) {
        let byte = start.load(as: UInt8.self)
        // First what is most frequent: small integers, then short strings and containers.
        if byte < 0x80 || byte >= 0xe0 {
            self.init(kind: .leaf, size: 1)
            return
        }
        switch byte {
        case 0x80...0x8f: self.init(kind: .container, size: 1, children: 2 * Int(byte & 0x0f))
        case 0x90...0x9f: self.init(kind: .container, size: 1, children: Int(byte & 0x0f))
        case 0xa0...0xbf: self.init(kind: .leaf, size: 1, payload: Int(byte & 0x1f))
        case 0xc1: self.init(kind: .malformed, size: 1)
        case 0xc4...0xdf: self.init(lengthAt: start, available: available, byte: byte)
        default: self.init(kind: .leaf, size: 1)
        }
    }

    @inline(__always)
    private init(kind: Kind, size: Int, payload: Int = 0, children: Int = 0) {
        self.kind = kind
        self.size = size
        self.payload = payload
        self.children = children
    }

    /// The formats `0xc4...0xdf`, which carry a fixed payload or a length field.
    @inline(__always)
    private init(lengthAt start: UnsafeRawPointer, available: Int, byte: UInt8) {
        switch byte {
        case 0xca, 0xce, 0xd2: self.init(kind: .leaf, size: 1, payload: 4)
        case 0xcb, 0xcf, 0xd3: self.init(kind: .leaf, size: 1, payload: 8)
        case 0xcc, 0xd0: self.init(kind: .leaf, size: 1, payload: 1)
        case 0xcd, 0xd1: self.init(kind: .leaf, size: 1, payload: 2)
        case 0xd4...0xd8: self.init(kind: .leaf, size: 1, payload: 1 + 1 << Int(byte - 0xd4))
        default:
            let width = FormatHead.lengthWidth(of: byte)
            guard available > width else {
                self.init(kind: .truncated, size: 1 + width)
                return
            }
            let length = FormatHead.length(at: start + 1, width: width)
            switch byte {
            case 0xc7...0xc9: self.init(kind: .leaf, size: 1 + width, payload: length + 1)
            case 0xdc, 0xdd: self.init(kind: .container, size: 1 + width, children: length)
            case 0xde, 0xdf: self.init(kind: .container, size: 1 + width, children: 2 * length)
            default: self.init(kind: .leaf, size: 1 + width, payload: length)
            }
        }
    }

    /// The bytes of the length field of a format that has one: 1, 2 or 4.
    @inline(__always)
    static func lengthWidth(of byte: UInt8) -> Int {
        switch byte {
        case 0xc4, 0xc7, 0xd9: 1
        case 0xc5, 0xc8, 0xda, 0xdc, 0xde: 2
        default: 4
        }
    }

    /// The big-endian length of `width` bytes at `field`.
    @inline(__always)
    static func length(at field: UnsafeRawPointer, width: Int) -> Int {
        switch width {
        case 1: Int(field.load(as: UInt8.self))
        case 2: Int(UInt16(bigEndian: field.loadUnaligned(as: UInt16.self)))
        default: Int(UInt32(bigEndian: field.loadUnaligned(as: UInt32.self)))
        }
    }
}
