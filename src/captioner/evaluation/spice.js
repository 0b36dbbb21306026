// SPICE 1.0 as a server of lines: one request, one answer, both JSON, until its input ends.
//   {"parse": [caption, ...]}                -> [[tuple, ...], ...], a tuple being 1 to 3 strings
//   {"score": [[tuples, [tuples, ...]], ...]} -> [f, ...], of a candidate against its references
// Every step is done by SPICE's own classes; only their order of calling is ours, and that the
// parser's pipeline has no named entity recogniser: SPICE runs it and uses nothing of it.

var spice = Packages.edu.anu.spice;
var answers = new java.io.PrintStream(java.lang.System.out, true, "UTF-8");
java.lang.System.setOut(java.lang.System.err); // nothing else may write between the answers
var requests = new java.io.BufferedReader(
  new java.io.InputStreamReader(java.lang.System["in"], "UTF-8")
);

var parser = new spice.SpiceParser(null, 1, true);
var synonyms = member(parser, "synonyms").get(parser);
var generateTuples = parser
  .getClass()
  .getDeclaredMethod("generateTuples", java.lang.Class.forName("java.util.List"));
generateTuples.setAccessible(true);
var hasPipeline = false;

var line;
while ((line = requests.readLine()) !== null) {
  var request = JSON.parse(line);
  answers.println(JSON.stringify(request.parse ? parse(request.parse) : score(request.score)));
  if (answers.checkError()) quit(1); // nobody listens any more
}

function member(object, name) {
  var field = object.getClass().getDeclaredField(name);
  field.setAccessible(true);
  return field;
}

// The models are loaded by the first request that needs them.
function loadPipeline() {
  var properties = new java.util.Properties();
  properties.setProperty("annotators", "tokenize,ssplit,parse,lemma");
  properties.setProperty("depparse.extradependencies", "MAXIMAL"); // as SPICE sets it
  var annotator = member(parser, "annotator").get(parser);
  var pipeline = new Packages.edu.stanford.nlp.pipeline.StanfordCoreNLP(properties);
  member(annotator, "pipeline").set(annotator, pipeline);
  hasPipeline = true;
}

function parse(captions) {
  if (!hasPipeline) loadPipeline();
  var input = new java.util.ArrayList();
  captions.forEach(function (caption) { input.add(caption); });
  var found = generateTuples.invoke(parser, input);
  return captions.map(function (caption) { return toArray(found.get(caption)); });
}

function toArray(tuples) {
  var result = [];
  for (var i = 0; i < tuples.size(); i++) {
    var words = [];
    for (var j = 0; j < tuples.get(i).size(); j++) words.push(String(tuples.get(i).get(j)));
    result.push(words);
  }
  return result;
}

function score(clips) {
  return clips.map(function (clip) {
    var candidate = new spice.TupleSet(graph([clip[0]]));
    var references = new spice.TupleSet(graph(clip[1]));
    return new spice.Evaluation(candidate, references, false, true).f;
  });
}

function graph(captions) {
  var scene = new spice.SceneGraph(synonyms, true);
  captions.forEach(function (tuples) {
    tuples.forEach(function (words) {
      var tuple = new java.util.ArrayList();
      words.forEach(function (word) { tuple.add(word); });
      scene.addTuple(tuple);
    });
  });
  return scene;
}
