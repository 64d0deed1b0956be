/// The limits that apply where the caller names none.
public enum MessagePackLimits {
    /// The deepest nesting of arrays and maps: 64 containers in one another pass, 65 are refused.
    @inlinable public static var depthMax: Int { 64 }

    /// The longest message that a ``MessagePackScanner`` accepts, in bytes: 16 MiB.
    @inlinable public static var bytesMax: Int { 16 << 20 }

    /// How many elements a decoder reserves room for on the word of a header. A declared count
    /// costs the peer one byte, so the rest is allocated only as elements really arrive.
    @inlinable static var reservedElementsMax: Int { 256 }
}
