/// Calls that crash on what a peer sends, leave the loop's thread, or write to the user's stdout.
enum BannedCallsRule {
    /// Where tasks are made: every other file asks the loop for one.
    static let taskFolder = "Sources/Updraft/Loop"

    static func check(_ files: [SourceFile]) -> [Violation] {
        let programs = Set(files.filter(isEntryPoint).map { module(of: $0) })
        return files.flatMap { file in
            crashes(file)
                + (file.isIn("Sources") && !file.isIn(taskFolder) ? tasks(file) : [])
                + (file.isIn("Sources") && !programs.contains(module(of: file)) ? prints(file) : [])
        }
    }

    /// `Sources/Name` or `Examples/Name`.
    private static func module(of file: SourceFile) -> String {
        file.path.split(separator: "/").prefix(2).joined(separator: "/")
    }

    private static func isEntryPoint(_ file: SourceFile) -> Bool {
        file.path.hasSuffix("/main.swift")
            || zip(file.tokens, file.tokens.dropFirst()).contains {
                $0.isSymbol("@") && $1.isWord("main")
            }
    }

    private static func crashes(_ file: SourceFile) -> [Violation] {
        file.tokens.indices.compactMap { index in
            let token = file.tokens[index]
            let next = file.tokens.dropFirst(index + 1).first
            // `try !isDone()` is a negation: the crash is written without a space.
            if token.kind == .word, ["try", "as"].contains(token.text), next?.isSymbol("!") == true,
                file.lines[token.line - 1].contains("\(token.text)!")
            {
                return file.violation(token.line, "\(token.text)! crashes; handle the failure")
            }
            if token.isWord("fatalError"), next?.isSymbol("(") == true {
                return file.violation(token.line, "fatalError( crashes; throw an error")
            }
            return nil
        }
    }

    private static func prints(_ file: SourceFile) -> [Violation] {
        file.tokens.indices.compactMap { index in
            let token = file.tokens[index]
            guard token.isWord("print") || token.isWord("debugPrint"),
                file.tokens.dropFirst(index + 1).first?.isSymbol("(") == true,
                !isMemberOrDeclaration(file.tokens, index)
            else { return nil }
            return file.violation(token.line, "\(token.text)( in a library; use the logger")
        }
    }

    private static func isMemberOrDeclaration(_ tokens: [Token], _ index: Int) -> Bool {
        guard index > 0 else { return false }
        if tokens[index - 1].isWord("func") { return true }
        guard tokens[index - 1].isSymbol(".") else { return false }
        return index < 2 || !tokens[index - 2].isWord("Swift")
    }

    private static func tasks(_ file: SourceFile) -> [Violation] {
        file.tokens.indices.compactMap { index in
            guard startsTask(file.tokens, index) else { return nil }
            let line = file.tokens[index].line
            return file.violation(line, "a bare Task leaves the loop's thread; use loop.spawn")
        }
    }

    private static let starters: Set<String> = [
        "detached", "immediate", "immediateDetached", "init",
    ]

    private static func startsTask(_ tokens: [Token], _ index: Int) -> Bool {
        guard tokens[index].isWord("Task") else { return false }
        if index > 0, tokens[index - 1].isSymbol("."),
            index < 2 || !["Swift", "_Concurrency"].contains(tokens[index - 2].text)
        {
            return false
        }
        var next = index + 1
        if next < tokens.count, tokens[next].isSymbol("<") {
            var depth = 0
            repeat {
                // The arrow of a function type closes nothing.
                let isArrow = tokens[next].isSymbol(">") && tokens[next - 1].isSymbol("-")
                if tokens[next].isSymbol("<") { depth += 1 }
                if tokens[next].isSymbol(">") && !isArrow { depth -= 1 }
                next += 1
            } while depth > 0 && next < tokens.count
        }
        guard next < tokens.count else { return false }
        if tokens[next].isSymbol("(") { return true }
        if tokens[next].isSymbol(".") {
            return next + 1 < tokens.count && starters.contains(tokens[next + 1].text)
        }
        // `var task: Task<Void, Never> {`, `-> Task<…> {` and `extension Task {` start nothing.
        guard tokens[next].isSymbol("{"), index > 0 else { return tokens[next].isSymbol("{") }
        let before = tokens[index - 1]
        return !before.isSymbol(":") && !before.isSymbol(">") && !before.isWord("extension")
    }
}
