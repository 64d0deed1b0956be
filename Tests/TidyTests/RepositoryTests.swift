import Testing

/// The rules, over the repository as it stands.
@Suite struct RepositoryTests {
    private let repository = Repository()

    private func expectNone(_ violations: [Violation]) {
        let list = violations.map(\.description).joined(separator: "\n")
        #expect(violations.isEmpty, "\n\(list)")
    }

    private func all(_ folders: [String], _ rule: (SourceFile) -> [Violation]) throws {
        expectNone(try repository.files(in: folders).flatMap(rule))
    }

    @Test func repositoryIsFoundFromThisFile() throws {
        #expect(repository.exists("Package.swift"))
        let found = try repository.files(in: ["Sources", "Examples", "Tests"]).map(\.path)
        #expect(found.contains("Tests/TidyTests/RepositoryTests.swift"))
        #expect(found.contains { $0.hasPrefix("Sources/Updraft/") })
        #expect(found.contains { $0.hasPrefix("Examples/") })
    }

    @Test func layersOfTheCoreNameOnlyLowerLayers() throws {
        expectNone(LayeringRule.check(try repository.files(in: [LayeringRule.root])))
    }

    @Test func nothingCrashesPrintsOrStartsBareTasks() throws {
        expectNone(BannedCallsRule.check(try repository.files(in: ["Sources", "Examples"])))
    }

    @Test func linesHaveNoTabsNoTrailingSpaceAndFit() throws {
        let folders = ["Sources", "Examples", "Tests", "Benchmarks"]
        let files = try repository.files(in: folders, extensions: ["swift", "c", "h", "py"])
        expectNone((files + [try repository.file("Package.swift")]).flatMap(LayoutRule.check))
    }

    @Test func filesAndFunctionsAreShort() throws {
        try all(["Sources", "Examples"], LengthRule.check)
    }

    @Test func publicDeclarationsAreDocumented() throws {
        try all(["Sources"], PublicDocsRule.check)
    }

    @Test func unsafeCodeSaysWhyItIsRight() throws {
        try all(["Sources", "Examples", "Benchmarks"], UnsafeRule.check)
    }

    @Test func shownSwiftCodeIsCompiled() throws {
        var pages = try repository.files(in: ["docs"], extensions: ["md"])
        if repository.exists("README.md") { pages.append(try repository.file("README.md")) }
        expectNone(
            SnippetRule.check(
                pages: pages,
                snippets: try repository.files(in: [SnippetRule.folder]),
                manifest: try repository.file("Package.swift").text))
    }

    @Test func everyRowOfTheContractIsHeldOrSaysWhyNot() throws {
        let tests = try repository.files(in: ["Tests"], extensions: ["swift", "py"])
        expectNone(
            ContractRule.check(
                page: try repository.file(ContractRule.path), tests: tests,
                exists: repository.exists))
    }
}
