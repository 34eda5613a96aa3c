// A study's films in a stack viewport; SEG and TID 1500 SR over them by the adapters.
// ?StudyInstanceUIDs=UID, as in OHIF; one button a series; <output> says what was done.
import { adaptersSEG, adaptersSR } from "@cornerstonejs/adapters";
import { Enums, init, metaData, RenderingEngine } from "@cornerstonejs/core";
import { init as initLoader } from "@cornerstonejs/dicom-image-loader";
import { utilities as metadata } from "@cornerstonejs/metadata";
import * as tools from "@cornerstonejs/tools";
import { data } from "dcmjs";
import { api } from "dicomweb-client";

const ROOT = `${location.origin}/dicom-web`;
const VIEWPORT = "viewport";
const IMAGES = ["CR", "DX", "OT", "SC"];
const FRAME_OF_REFERENCE = "00200052";
const MEASUREMENTS = "Imaging Measurements";
const COMMENT = "Comment";
const SHOWN = { SEG: segmentation, SR: report };

const { Length, RectangleROI, MeasurementReport } = adaptersSR.Cornerstone3D;
const client = new api.DICOMwebClient({ url: ROOT });
const said = document.createElement("output");

await start();

async function start() {
  init();
  initLoader({ wasmBasePath: location.origin });
  tools.init();
  metaData.addProvider(named, 10_000);
  const viewport = enabled();
  const studyInstanceUID = new URLSearchParams(location.search).get("StudyInstanceUIDs");
  const stored = await client.retrieveStudyMetadata({ studyInstanceUID });
  document.querySelector("nav").append(...stored.map((one) => button(viewport, one)), said);
}

/** Make the one viewport, with the tools that draw lines and boxes. */
function enabled() {
  const engine = new RenderingEngine("engine");
  const element = document.getElementById(VIEWPORT);
  engine.enableElement({ viewportId: VIEWPORT, type: Enums.ViewportType.STACK, element });
  const group = tools.ToolGroupManager.createToolGroup("tools");
  for (const tool of [tools.LengthTool, tools.RectangleROITool]) {
    tools.addTool(tool);
    group.addTool(tool.toolName, { getTextLines: ({ label }) => [label] });
    group.setToolEnabled(tool.toolName);
  }
  group.addViewport(VIEWPORT, engine.id);
  return engine.getViewport(VIEWPORT);
}

/** Say which instance an image is: 5.14's own provider leaves out what its adapters ask for. */
function named(type, imageId) {
  return type === "generalImageModule" ? metaData.get("sopCommonModule", imageId) : undefined;
}

function button(viewport, dicomJson) {
  const ds = data.DicomMetaDictionary.naturalizeDataset(dicomJson);
  const made = document.createElement("button");
  made.textContent = `${ds.Modality} ${ds.SeriesDescription ?? ""}`.trim();
  made.onclick = async () => {
    said.textContent = "";
    try {
      const show = IMAGES.includes(ds.Modality) ? image : SHOWN[ds.Modality];
      said.textContent = show ? await show(viewport, ds, dicomJson) : `${ds.Modality}: not shown`;
    } catch (error) {
      said.textContent = `failed: ${error.message}`;
      throw error;
    }
  };
  return made;
}

async function image(viewport, ds, dicomJson) {
  const { StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: uid } = ds;
  const imageId = `wadors:${ROOT}/studies/${study}/series/${series}/instances/${uid}/frames/1`;
  // the tools draw in a frame of reference, which a radiograph lacks: the page gives it one
  dicomJson[FRAME_OF_REFERENCE] ??= { vr: "UI", Value: [series] };
  await metadata.addDicomWebInstance(imageId, dicomJson);
  await viewport.setStack([imageId]);
  viewport.render();
  return `image ${viewport.getImageData().dimensions.slice(0, 2).join(" x ")}`;
}

async function instance(ds) {
  return client.retrieveInstance({
    studyInstanceUID: ds.StudyInstanceUID,
    seriesInstanceUID: ds.SeriesInstanceUID,
    sopInstanceUID: ds.SOPInstanceUID,
  });
}

/** Lay the regions over the film that is shown, in the colours that the SEG recommends. */
async function segmentation(viewport, ds) {
  const read = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(
    viewport.getImageIds(),
    await instance(ds),
    { metadataProvider: metaData },
  );
  const segmentationId = ds.SOPInstanceUID;
  const imageIds = read.labelMapImages.flat().map((one) => one.imageId);
  const type = tools.Enums.SegmentationRepresentations.Labelmap;
  tools.segmentation.addSegmentations([
    { segmentationId, representation: { type, data: { imageIds } } },
  ]);
  await tools.segmentation.addLabelmapRepresentationToViewport(VIEWPORT, [{ segmentationId }]);
  const segments = read.segMetadata.data.filter(Boolean);
  for (const one of segments) {
    const lab = data.Colors.dicomlab2RGB(one.RecommendedDisplayCIELabValue);
    const rgba = [...lab.map((value) => Math.round(value * 255)), 255];
    const { setSegmentIndexColor } = tools.segmentation.config.color;
    setSegmentIndexColor(VIEWPORT, segmentationId, Number(one.SegmentNumber), rgba);
  }
  return `segments: ${segments.map((one) => one.SegmentLabel).join(", ")}`;
}

/** Draw what has coordinates. The adapters take one coordinate a group, and tools by name. */
async function report(viewport, ds) {
  const file = data.DicomMessage.readFile(await instance(ds));
  const dataset = data.DicomMetaDictionary.naturalizeDataset(file.dict);
  const measurements = dataset.ContentSequence.find((one) => meaning(one) === MEASUREMENTS);
  if (!measurements) return "no measurements";
  measurements.ContentSequence = [measurements.ContentSequence].flat().flatMap(apart);
  const [imageId] = viewport.getImageIds();
  const { sopInstanceUID } = metaData.get("generalImageModule", imageId);
  const shown = { [`${sopInstanceUID}:1`]: imageId };
  const hooks = { getToolClass: adapterOf };
  const state = MeasurementReport.generateToolState(dataset, shown, metaData, hooks);
  const measured = Object.values(state).flat();
  for (const { annotation } of measured) {
    tools.annotation.state.addAnnotation(annotation, viewport.element);
  }
  viewport.render();
  return `measurements: ${measured.length}`;
}

function apart(group) {
  const items = group.ContentSequence;
  const kept = items.filter((one) => one.ValueType !== "NUM" && meaning(one) !== COMMENT);
  const said = items.find((one) => meaning(one) === COMMENT)?.TextValue;
  return items.filter((one) => one.ValueType === "NUM").flatMap((num) =>
    coordinates(num).map((one) => {
      const item = { ...num, ContentSequence: [one] };
      return { ...group, ContentSequence: [...kept, item, comment(`${said}; ${measure(num)}`)] };
    }),
  );
}

function measure(num) {
  const { NumericValue, MeasurementUnitsCodeSequence } = num.MeasuredValueSequence[0];
  const unit = MeasurementUnitsCodeSequence[0].CodeValue;
  return `${meaning(num)} ${NumericValue} ${unit === "1" ? "" : unit}`.trim();
}

function comment(TextValue) {
  const code = { CodeValue: "121106", CodingSchemeDesignator: "DCM", CodeMeaning: COMMENT };
  return { ValueType: "TEXT", ConceptNameCodeSequence: code, TextValue };
}

function coordinates(num) {
  return [num.ContentSequence ?? []].flat().filter((one) => one.ValueType === "SCOORD");
}

function adapterOf(group) {
  const [{ GraphicData }] = group.ContentSequence.flatMap(coordinates);
  return GraphicData.length === 4 ? Length : RectangleROI;
}

function meaning(item) {
  return item.ConceptNameCodeSequence?.[0].CodeMeaning;
}
