/// A coding key for what has no key of the user's: indices and superclasses.
struct CodablePathKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    static let `super` = CodablePathKey(stringValue: "super")

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = "\(intValue)"
        self.intValue = intValue
    }
}
