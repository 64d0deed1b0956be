/// A file of the repository, with the views of it that the rules read.
struct SourceFile {
    /// The path from the repository's root.
    let path: String
    let text: String
    let lines: [Substring]
    /// Words and symbols of a Swift file, without comments and the text of strings.
    let tokens: [Token]

    init(path: String, text: String) {
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        tokens = path.hasSuffix(".swift") ? SwiftLexer(text).tokens : []
    }

    func violation(_ line: Int, _ message: String) -> Violation {
        Violation(path: path, line: line, message: message)
    }

    func isIn(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }
}
