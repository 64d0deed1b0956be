/// The folders of the core are layers: a file names only types of its own folder or a lower one.
enum LayeringRule {
    static let root = "Sources/Updraft"

    /// What each folder may name besides itself.
    static let below: [String: Set<String>] = [
        "Poller": [],
        "Loop": ["Poller"],
        "Stream": ["Poller", "Loop"],
        "Net": ["Poller", "Loop", "Stream"],
        "Process": ["Poller", "Loop", "Stream", "Net"],
        "Sync": ["Poller", "Loop"],
    ]

    static func check(_ files: [SourceFile]) -> [Violation] {
        var violations: [Violation] = []
        var owner: [String: String] = [:]
        let core = files.filter { $0.isIn(root) }
        for file in core {
            guard let folder = folder(of: file) else {
                let known = below.keys.sorted().joined(separator: ", ")
                violations.append(file.violation(1, "the core's folders are \(known)"))
                continue
            }
            for name in sharedTypes(of: file) { owner[name] = folder }
        }
        for file in core {
            guard let folder = folder(of: file), let allowed = below[folder] else { continue }
            let own = declaredNames(file.tokens)
            for (index, token) in file.tokens.enumerated() where token.kind == .word {
                guard let other = owner[token.text], other != folder, !allowed.contains(other),
                    !own.contains(token.text), !isMember(file.tokens, index)
                else { continue }
                let message = "\(folder) may not name \(token.text), which \(other) declares"
                violations.append(file.violation(token.line, message))
            }
        }
        return violations
    }

    private static func folder(of file: SourceFile) -> String? {
        let parts = file.path.dropFirst(root.count + 1).split(separator: "/")
        guard parts.count > 1, below[String(parts[0])] != nil else { return nil }
        return String(parts[0])
    }

    /// `Outer.Name` is a nested type of that name, but `Updraft.Name` is the module's own.
    private static func isMember(_ tokens: [Token], _ index: Int) -> Bool {
        guard index > 0, tokens[index - 1].isSymbol(".") else { return false }
        return index < 2 || !tokens[index - 2].isWord("Updraft")
    }

    private static let keywords: Set<String> = [
        "class", "struct", "enum", "protocol", "actor", "typealias",
    ]

    private static func isDeclaration(_ tokens: [Token], _ index: Int) -> Bool {
        guard tokens[index].kind == .word, keywords.contains(tokens[index].text),
            index + 1 < tokens.count, tokens[index + 1].kind == .word
        else { return false }
        // `class func` and `class var` declare members, `.actor` and `actor:` are names.
        let members = ["func", "var", "let", "init", "subscript"]
        return !members.contains(tokens[index + 1].text)
            && (index == 0 || !tokens[index - 1].isSymbol("."))
    }

    /// Every type that the file declares, at any depth.
    private static func declaredNames(_ tokens: [Token]) -> Set<String> {
        var names: Set<String> = []
        for index in tokens.indices where isDeclaration(tokens, index) {
            names.insert(tokens[index + 1].text)
        }
        return names
    }

    /// The top-level types that other files can see.
    private static func sharedTypes(of file: SourceFile) -> Set<String> {
        var names: Set<String> = []
        var depth = 0
        for (index, token) in file.tokens.enumerated() {
            if token.isSymbol("{") { depth += 1 }
            if token.isSymbol("}") { depth -= 1 }
            guard depth == 0, isDeclaration(file.tokens, index) else { continue }
            let modifiers = file.tokens[..<index].reversed().prefix { $0.kind == .word }
            if !modifiers.contains(where: { ["private", "fileprivate"].contains($0.text) }) {
                names.insert(file.tokens[index + 1].text)
            }
        }
        return names
    }
}
