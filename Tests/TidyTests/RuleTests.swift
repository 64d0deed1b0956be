import Testing

/// Each rule reports what breaks it, with its line, and nothing else.
private func swift(_ text: String, at path: String = "Sources/Module/File.swift") -> SourceFile {
    SourceFile(path: path, text: text)
}

private func places(_ violations: [Violation]) -> [String] {
    violations.map { "\($0.path):\($0.line)" }
}

@Suite struct LexerTests {
    @Test func commentsAndStringsAreNoTokens() {
        let text = ##"""
            a // try!
            /* b /* c */ d */ e
            "f \"g\(h + "i\(j)")k" l
            #"m "n \(o) \#(p)"# q
            ""
            #/r"/# s
            """##
        let words = SwiftLexer(text).tokens.filter { $0.kind == .word }.map(\.text)
        #expect(words == ["a", "e", "h", "j", "l", "p", "q", "s"])
    }

    @Test func multiLineStringsKeepTheLineCount() {
        let text = "let a = \"\"\"\n  x \"y\" \\(z)\n  \"\"\"\nb"
        let tokens = SwiftLexer(text).tokens
        #expect(tokens.last == Token(kind: .word, text: "b", line: 4))
        #expect(tokens.contains(Token(kind: .word, text: "z", line: 2)))
        #expect(!tokens.contains { $0.isWord("y") })
    }
}

@Suite struct LayeringRuleTests {
    private let stream = swift(
        "public final class IOStream {}\nprivate struct Hidden {}\nstruct Outer { enum Inner {} }",
        at: "Sources/Updraft/Stream/IOStream.swift")

    private func check(_ text: String, in folder: String) -> [Violation] {
        LayeringRule.check([stream, swift(text, at: "Sources/Updraft/\(folder)/File.swift")])
    }

    @Test(arguments: ["Poller", "Loop", "Sync"])
    func lowerAndOtherFoldersMayNotNameAStream(folder: String) {
        let violations = check("// IOStream\nlet name = \"IOStream\"\nlet s: IOStream", in: folder)
        #expect(places(violations) == ["Sources/Updraft/\(folder)/File.swift:3"])
        #expect(violations.first?.message.contains("IOStream") == true)
    }

    @Test(arguments: ["Net", "Process", "Stream"])
    func higherFoldersMayNameAStream(folder: String) {
        #expect(check("let s: IOStream", in: folder).isEmpty)
    }

    @Test func extensionsAndQualifiedNamesCount() {
        #expect(check("extension IOStream {}", in: "Loop").count == 1)
        #expect(check("let s: Updraft.IOStream", in: "Loop").count == 1)
    }

    @Test func nestedPrivateAndOwnTypesDoNotCount() {
        #expect(check("let a: Inner, b: Hidden, c: Some.IOStream", in: "Loop").isEmpty)
        #expect(check("struct A { struct IOStream {} }\nlet s: IOStream", in: "Loop").isEmpty)
    }

    @Test func everyFileOfTheCoreIsInAKnownFolder() {
        #expect(places(check("", in: "Misc")) == ["Sources/Updraft/Misc/File.swift:1"])
    }
}

@Suite struct BannedCallsRuleTests {
    @Test(arguments: ["try! f()", "x as! Int", "fatalError(\"no\")", "print(1)", "Swift.print(1)"])
    func bannedCallIsReported(call: String) {
        let file = swift("func f() {\n    \(call)\n}")
        #expect(places(BannedCallsRule.check([file])) == ["Sources/Module/File.swift:2"])
    }

    @Test(arguments: [
        "try f()", "try? f()", "x as? Int", "x as Int", "printer.print(1)", "// print(1)",
        "\"try! fatalError()\"", "a.tasks()", "withTaskGroup { }",
    ])
    func otherCallsAreNot(call: String) {
        #expect(BannedCallsRule.check([swift(call)]).isEmpty)
    }

    @Test func programsPrintButDoNotCrash() {
        let entry = swift("@main struct Tool {}", at: "Sources/tool/Tool.swift")
        let file = swift("print(1)\ntry! f()", at: "Sources/tool/Run.swift")
        #expect(places(BannedCallsRule.check([entry, file])) == ["Sources/tool/Run.swift:2"])
        #expect(BannedCallsRule.check([swift("print(1)", at: "Examples/e/E.swift")]).isEmpty)
    }

    @Test(arguments: [
        "Task { }", "Task(priority: .high) { }", "Task.detached { }", "Task<Void, Never> { }",
        "Task<() -> Int, any Error>.detached { }", "let t = Task { }", "Task.immediate { }",
        "_Concurrency.Task { }",
    ])
    func bareTaskIsReportedOutsideTheLoop(call: String) {
        #expect(places(BannedCallsRule.check([swift(call)])) == ["Sources/Module/File.swift:1"])
        let inLoop = swift(call, at: "Sources/Updraft/Loop/Spawn.swift")
        #expect(BannedCallsRule.check([inLoop]).isEmpty)
    }

    @Test(arguments: [
        "var t: Task<Void, Never> { x }", "func f() -> Task<Int, Never> { x }",
        "extension Task { }", "Task.isCancelled", "try await Task.sleep(for: .zero)", "My.Task(1)",
        "[Task<Void, Never>]",
    ])
    func namingATaskIsNot(text: String) {
        #expect(BannedCallsRule.check([swift(text)]).isEmpty)
    }
}

@Suite struct LayoutRuleTests {
    @Test(arguments: ["\tx", "x ", String(repeating: "x", count: 101)])
    func badLineIsReported(line: String) {
        #expect(places(LayoutRule.check(swift("a\n\(line)\n"))) == ["Sources/Module/File.swift:2"])
    }

    @Test func hundredColumnsFit() {
        #expect(LayoutRule.check(swift(String(repeating: "ü", count: 100))).isEmpty)
    }
}

@Suite struct LengthRuleTests {
    private func lines(_ count: Int) -> String { String(repeating: "x\n", count: count) }

    @Test func fileOf501LinesIsReported() {
        #expect(LengthRule.check(swift(lines(500))).isEmpty)
        #expect(places(LengthRule.check(swift(lines(501)))) == ["Sources/Module/File.swift:501"])
    }

    @Test(arguments: [
        "func f(_ a: () -> Int = { 1 })\n-> Int where T: P {\n", "init?() {\n\n", "deinit {\n\n",
        "subscript(i: Int) -> Int {\n\n", "func `init`() {\n\n",
    ])
    func functionOf71LinesIsReported(head: String) {
        let fits = "struct S {\n\(head)\(lines(67))}\n}\n"
        #expect(LengthRule.check(swift(fits)).isEmpty)
        let long = "struct S {\n\(head)\(lines(68))}\n}\n"
        #expect(places(LengthRule.check(swift(long))) == ["Sources/Module/File.swift:2"])
    }

    @Test func requirementsHaveNoBody() {
        let text = "protocol P {\nfunc f() throws -> Int\nfunc g()\n}\nstruct S {\n\(lines(80))}"
        #expect(LengthRule.check(swift(text)).isEmpty)
        #expect(LengthRule.check(swift("f(self.init(1)) {\n\(lines(80))}")).isEmpty)
    }
}

@Suite struct PublicDocsRuleTests {
    @Test(arguments: [
        "public func f() {}", "open class C {}", "public static let x = 1",
        "@inlinable\npublic init()", "public private(set) var x: Int",
        "nonisolated(unsafe) public var x: Int",
        "// not documentation\npublic enum E {}", "///\npublic enum E {}",
        "@available(\n    *, deprecated\n)\npublic func f() {}",
        "func set(_ x: Int)\npublic func f()",
    ])
    func undocumentedDeclarationIsReported(text: String) {
        #expect(PublicDocsRule.check(swift(text)).count == 1)
    }

    @Test(arguments: [
        "/// Says what.\npublic func f() {}", "/// Says what.\n@inlinable\npublic init()",
        "/// Says what.\n@available(\n    *, deprecated\n)\n@MainActor\npublic func f() {}",
        "/// Says what.\nnonisolated(unsafe) public private(set) var x: Int", "public import Glibc",
        "struct S {}", "file.open(path)", "func open(_ path: String)", "f(open: 1)",
        "/// Says what.\n// swift-format-ignore\npublic func f() {}",
    ])
    func documentedOrNotPublicIsNot(text: String) {
        #expect(PublicDocsRule.check(swift(text)).isEmpty)
    }

    @Test func theDeclarationsOwnLineIsReported() {
        let file = swift("/// A.\npublic struct A {\n    @inlinable\n    public init() {}\n}")
        #expect(places(PublicDocsRule.check(file)) == ["Sources/Module/File.swift:4"])
    }
}

@Suite struct UnsafeRuleTests {
    static let uses = [
        "struct S: @unchecked Sendable {}", "nonisolated(unsafe) var x = 1",
        "Unmanaged.passRetained(x)", "unsafeBitCast(x, to: Int.self)",
    ]

    @Test(arguments: uses) func useWithoutAReasonIsReported(use: String) {
        for head in ["", "// A file.", "/// Unsafe: doc", "// Unsafe:", "let a = 1 // Unsafe: x"] {
            let found = places(UnsafeRule.check(swift("\(head)\n\(use)")))
            #expect(found == ["Sources/Module/File.swift:2"], "\(head)")
        }
        let late = swift("// First.\n\n// Unsafe: not in the first comment.\n\(use)")
        #expect(places(UnsafeRule.check(late)) == ["Sources/Module/File.swift:4"])
    }

    @Test(arguments: uses) func useWithAReasonIsNot(use: String) {
        let head = "// The waker.\n// Unsafe: written by the loop's thread only.\nimport Glibc"
        let text = "\(head)\n\(use)"
        #expect(UnsafeRule.check(swift(text)).isEmpty)
        #expect(UnsafeRule.check(swift("// \(use)\nnonisolated(nonsending) func f()")).isEmpty)
    }
}

@Suite struct SnippetRuleTests {
    private func check(
        _ page: String, path: String = "README.md", snippet: String,
        manifest: String = "path: \"Examples/Snippets\""
    ) -> [Violation] {
        let file = swift(snippet, at: "Examples/Snippets/A.swift")
        let pages = [SourceFile(path: path, text: page)]
        return SnippetRule.check(pages: pages, snippets: [file], manifest: manifest)
    }

    private let page = "Text\n\n```swift\nf(1)  // one\ng()\n```\n"

    @Test func blockThatIsNotCompiledIsReported() {
        #expect(places(check(page, snippet: "f(2)  // one\ng()")) == ["README.md:3"])
        #expect(places(check(page, snippet: "f(1)\ng()")) == ["README.md:3"])
    }

    @Test func commentedOutBlockIsReported() {
        #expect(places(check(page, snippet: "/* f(1)  // one\ng() */")) == ["README.md:3"])
    }

    @Test func blockInAFileOfTheSnippetsIsNot() {
        let snippet = "func a() {\n    f(1)  // one\n    g()\n}"
        #expect(check(page, snippet: snippet).isEmpty)
        #expect(check(page, snippet: snippet, manifest: "").count == 1)
    }

    @Test func sketchesAreForPagesOnly() {
        let sketch = "```swift sketch\nnever()\n```"
        #expect(check(sketch, path: "docs/turn.md", snippet: "").isEmpty)
        #expect(check(sketch, snippet: "").count == 1)
        #expect(check("```swift\nnever()\n```", path: "docs/turn.md", snippet: "").count == 1)
    }

    @Test func fencesNestAndOtherLanguagesAreLeft() {
        let page = SourceFile(
            path: "README.md",
            text: "```sh\nf\n```\n````md\n```swift\nx\n```\n````\n  ```swift\n  y\n  ```\n")
        #expect(SnippetRule.blocks(page) == [.init(line: 9, text: "  y", isSketch: false)])
    }
}
